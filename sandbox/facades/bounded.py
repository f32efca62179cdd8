"""Decompression that stops: a kilobyte can claim to be a gigabyte."""

from __future__ import annotations

import zlib
from typing import Final

DECOMPRESSED_BYTES_MAX: Final = 16 * 1024 * 1024


def zlib_decompress(data: bytes, /, wbits: int = zlib.MAX_WBITS, bufsize: int = zlib.DEF_BUF_SIZE) -> bytes:
    """`zlib.decompress`, up to 16 MiB. Raises `ValueError` beyond it."""
    del bufsize
    return _decompress(data, wbits)[0]


def gzip_decompress(data: bytes) -> bytes:
    """`gzip.decompress`, up to 16 MiB in all members together. Raises `ValueError` beyond it."""
    parts, total = [], 0
    while data:
        part, data = _decompress(data, 31, DECOMPRESSED_BYTES_MAX - total)
        total += len(part)
        parts.append(part)
        data = data.lstrip(b"\x00")
    return b"".join(parts)


def _decompress(data: bytes, wbits: int, bytes_max: int = DECOMPRESSED_BYTES_MAX) -> tuple[bytes, bytes]:
    machine = zlib.decompressobj(wbits)
    result = machine.decompress(data, bytes_max + 1)
    if len(result) > bytes_max:
        raise ValueError(f"decompressed data is larger than {DECOMPRESSED_BYTES_MAX} bytes")
    if not machine.eof:
        raise zlib.error("incomplete or truncated stream")
    return result, machine.unused_data

"""Pure: bodies that are compressed, decoded in pieces, and no further than they may grow."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from engine.egress.rules import Refused
from sandbox.fetch_wire import PIECE_BYTES_MAX, RESPONSE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCEPTED: Final = "gzip, deflate"
_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})


def too_large(bytes_max: int = RESPONSE_BYTES_MAX) -> Refused:
    """The error for a response that is longer than allowed."""
    return Refused(f"the response is longer than {bytes_max // 1024} KiB", "too_large")


class Decoder:
    """Counts a body's bytes, and decodes them if the response says that they are compressed."""

    def __init__(self, content_encoding: str, bytes_max: int = RESPONSE_BYTES_MAX) -> None:
        self._coding = content_encoding.strip().lower()
        self.is_decoding = self._coding in _CODINGS
        self._machine = self._new() if self.is_decoding else None
        self._bytes_max = bytes_max
        self._received = 0
        self._decoded = 0
        self._is_begun = False

    def _new(self, wbits: int = 32 + zlib.MAX_WBITS) -> zlib._Decompress:
        return zlib.decompressobj(wbits)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces of at most `PIECE_BYTES_MAX`. Raises `Refused` beyond the limit, or if it can't be decoded."""
        self._received += len(data)
        if self._received > self._bytes_max:
            raise too_large(self._bytes_max)
        if self._machine is None:
            for at in range(0, len(data), PIECE_BYTES_MAX):
                yield data[at : at + PIECE_BYTES_MAX]
            return
        while data:
            if self._machine.eof:
                data = data.lstrip(b"\x00")
                if not data:
                    return
                self._machine = self._new()
            piece = self._decompress(data)
            data = self._machine.unconsumed_tail or self._machine.unused_data
            self._decoded += len(piece)
            if self._decoded > self._bytes_max:
                raise too_large(self._bytes_max)
            if piece:
                yield piece

    def _decompress(self, data: bytes) -> bytes:
        assert self._machine is not None
        try:
            piece = self._machine.decompress(data, PIECE_BYTES_MAX)
        except zlib.error as error:
            if self._is_begun or self._coding != "deflate":
                raise Refused(f"the response's body can't be decoded: {error}", "connection") from None
            # RFC 9110, 8.4.1.2: some send deflate without the zlib wrapping it ought to have.
            self._machine = self._new(-zlib.MAX_WBITS)
            self._is_begun = True
            return self._decompress(data)
        self._is_begun = True
        return piece

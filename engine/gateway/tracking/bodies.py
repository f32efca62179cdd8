"""A request's body → a JSON document: inflated and parsed within limits, whatever its headers call it."""

from __future__ import annotations

import json
import zlib
from typing import Any, Final

import orjson

GZIP: Final = 16 + zlib.MAX_WBITS
DEFLATE: Final = zlib.MAX_WBITS
RAW_DEFLATE: Final = -zlib.MAX_WBITS
MEMBERS_MAX: Final = 16
"""Parts of a gzip body that may follow one another (RFC 1952); each costs a copy of the rest."""
INT_DIGITS_MAX: Final = 400
"""Whole numbers beyond it are infinite as floats, which is what they become."""


class BadBody(Exception):
    """What is wrong with it, in words for whoever sent it."""


class TooLarge(BadBody):
    """It is longer than is allowed, as it came or inflated."""


def inflate(body: bytes, encoding: bytes, bytes_max: int) -> bytes:
    """As it was before its `Content-Encoding`: gzip, deflate (RFC 1950, or 1951 as some send it) or none.

    Never more than `bytes_max` and a byte are made of it. Raises `BadBody`, `TooLarge`.
    """
    encoding = encoding.strip().lower()
    if encoding in {b"", b"identity"}:
        return body
    if encoding in {b"gzip", b"x-gzip"}:
        return _inflated(body, GZIP, bytes_max)
    if encoding == b"deflate":
        # The low half of a zlib header's first byte is 8, its two bytes a multiple of 31.
        has_header = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return _inflated(body, DEFLATE if has_header else RAW_DEFLATE, bytes_max)
    raise BadBody("the body's Content-Encoding is none of gzip, deflate, identity")


def _inflated(body: bytes, window: int, bytes_max: int) -> bytes:
    parts, size = [], 0
    for _ in range(MEMBERS_MAX):
        stream = zlib.decompressobj(window)
        try:
            part = stream.decompress(body, bytes_max - size + 1)
        except zlib.error:
            raise BadBody("the body isn't compressed as its Content-Encoding says") from None
        parts.append(part)
        size += len(part)
        if size > bytes_max:
            raise TooLarge
        if not stream.eof:
            raise BadBody("the compressed body ends in the middle")
        body = stream.unused_data
        if window != GZIP or not body.startswith(b"\x1f\x8b"):
            return b"".join(parts)
    raise BadBody("the compressed body has too many parts")


def parse(body: bytes) -> Any:
    """The JSON document, in UTF-8 (or UTF-16 or 32, as RFC 4627 tells them apart). Raises `BadBody`.

    What JSON doesn't have but Python's writer makes (NaN, Infinity) is taken.
    """
    try:
        return orjson.loads(body)  # half of the time, and of the whole gateway a third
    except orjson.JSONDecodeError:
        return _parse_leniently(body)


def _parse_leniently(body: bytes) -> Any:
    """What strict JSON has no room for: half of a surrogate pair, NaN, a number beyond all floats, other encodings."""
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise
        except ValueError:  # more digits than Python turns into an integer
            return json.loads(text, parse_int=_number)
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except ValueError:
        raise BadBody("the body is no JSON") from None


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < INT_DIGITS_MAX else float(digits)

"""Bodies: inflated within limits, and read as JSON whatever they are called."""

from __future__ import annotations

import gzip
import json
import math
import zlib

import pytest

from engine.gateway.tracking.bodies import BadBody, TooLarge, inflate, parse

TEXT = b'{"a": 1}' * 100


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"", TEXT),
        (b"identity", TEXT),
        (b"gzip", gzip.compress(TEXT, mtime=0)),
        (b"GZIP ", gzip.compress(TEXT, mtime=0)),
        (b"gzip", gzip.compress(TEXT[:300], mtime=0) + gzip.compress(TEXT[300:], mtime=0)),
        (b"deflate", zlib.compress(TEXT)),
        (b"deflate", raw_deflate(TEXT)),
    ],
)
def test_a_body_is_what_it_was_before_it_was_compressed(encoding: bytes, body: bytes) -> None:
    assert inflate(body, encoding, len(TEXT)) == TEXT


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
def test_a_bomb_is_let_off_no_further_than_the_limit(encoding: bytes) -> None:
    bomb = (gzip.compress if encoding == b"gzip" else zlib.compress)(bytes(5_000_000))
    with pytest.raises(TooLarge):
        inflate(bomb, encoding, 100_000)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", b"no gzip"),
        (b"gzip", b""),
        (b"gzip", gzip.compress(TEXT, mtime=0)[:-1]),
        (b"gzip", gzip.compress(b"", mtime=0) * 1_000),
        (b"deflate", b"x"),
        (b"br", TEXT),
    ],
)
def test_what_is_not_compressed_as_it_says_is_refused(encoding: bytes, body: bytes) -> None:
    with pytest.raises(BadBody):
        inflate(body, encoding, 100_000)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, "x", null]}', {"a": [1, "x", None]}),
        ("[NaN, Infinity]", [math.nan, math.inf]),
        (f"[{'9' * 5000}, -{'9' * 5000}, 1]", [math.inf, -math.inf, 1]),
        ('"\\ud800"', "\ud800"),
    ],
)
def test_what_python_and_javascript_write_is_read(text: str, value: object) -> None:
    assert repr(parse(text.encode())) == repr(value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_the_encoding_is_seen_in_the_bytes(encoding: str) -> None:
    assert parse(json.dumps({"a": "ä"}, ensure_ascii=False).encode(encoding)) == {"a": "ä"}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\xfd", b"a=1&b=2", b"[" * 200_000, b'{"a":' * 90_000])
def test_anything_else_is_no_json(body: bytes) -> None:
    with pytest.raises(BadBody):
        parse(body)

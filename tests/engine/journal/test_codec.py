from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.journal.codec import DamagedPayload, Origins, decode_chunk, encode_chunk
from sandbox.wire import Events

EVENTS = Events(b"\x00\x01", ["m1", ""], ["", "müller"], {1: b"\x81\xa3All\xc2"}, [1, 3], b"\x80\x81\xa1x")
ORIGINS = ((2**40, 99), (7, 0))


@pytest.mark.parametrize("origins", [(), ORIGINS])
def test_a_chunk_is_decoded_as_it_was_encoded(origins: Origins) -> None:
    assert decode_chunk(encode_chunk(EVENTS, origins)) == (EVENTS, origins)


def test_a_full_chunk_with_origins_is_within_the_limits_of_its_decoder() -> None:
    events = Events(
        b"\x01" * 100,
        ["m" * 100] * 100,
        ["u" * 256] * 100,
        dict.fromkeys(range(100), b"\x80"),
        [1] * 100,
        b"\x80" * 100,
    )
    origins = tuple((2**50 + n, n) for n in range(100))
    assert decode_chunk(encode_chunk(events, origins)) == (events, origins)


def payload_of(headers: object, bodies: bytes = b"\x80\x81\xa1x") -> bytes:
    packed = msgpack.packb(headers)
    return struct.pack("<BI", 1, len(packed)) + packed + bodies


GOOD = [b"\x00\x01", ["a", "b"], ["c", "d"], {}, [1, 3], []]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01\x00\x00",
        b"\x02" + encode_chunk(EVENTS, ())[1:],
        struct.pack("<BI", 1, 2**32 - 1) + b"\xc0",
        encode_chunk(EVENTS, ())[:-1],
        encode_chunk(EVENTS, ()) + b"\x00",
        payload_of(None),
        payload_of(GOOD[:5]),
        payload_of([*GOOD[:4], [1, "3"], []]),
        payload_of([*GOOD[:4], [1, 2], []]),
        payload_of([*GOOD[:5], [1, 2, 3]]),
        payload_of([*GOOD[:5], [1, 2, 3, "4"]]),
        payload_of([b"\x00\x63", *GOOD[1:]]),
        payload_of([b"\x00", *GOOD[1:]]),
        payload_of([*GOOD[:3], {5: b""}, *GOOD[4:]]),
        payload_of([[]] * 6),
        struct.pack("<BI", 1, 5000) + b"\x91" * 5000,
    ],
)
def test_damaged_bytes_are_named_as_such(payload: bytes) -> None:
    with pytest.raises(DamagedPayload):
        decode_chunk(payload)


@given(st.integers(0, len(encode_chunk(EVENTS, ORIGINS)) - 1), st.integers(1, 255))
@example(0, 1)
def test_a_flipped_byte_is_refused_or_gives_a_well_formed_chunk(at: int, mask: int) -> None:
    payload = bytearray(encode_chunk(EVENTS, ORIGINS))
    payload[at] ^= mask
    try:
        events, origins = decode_chunk(bytes(payload))
    except DamagedPayload:
        return
    assert sum(events.sizes) == len(events.bodies)
    assert len(origins) in {0, len(events.sizes)}

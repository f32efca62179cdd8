from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.journal.codec import (
    DETAILS_BYTES_MAX,
    DamagedPayload,
    Places,
    decode_chunk,
    decode_details,
    encode_chunk,
    encode_details,
)
from sandbox.wire import Events

EVENTS = Events(b"\x00\x01", ["m1", ""], ["", "müller"], {1: b"\x81\xa3All\xc2"}, [1, 3], b"\x80\x81\xa1x")
PLACES = (99, 0)


@pytest.mark.parametrize("places", [(), PLACES])
def test_a_chunk_is_decoded_as_it_was_encoded(places: Places) -> None:
    assert decode_chunk(encode_chunk(EVENTS, places)) == (EVENTS, places)


def test_a_full_chunk_with_places_is_within_the_limits_of_its_decoder() -> None:
    events = Events(
        b"\x01" * 100,
        ["m" * 100] * 100,
        ["u" * 256] * 100,
        dict.fromkeys(range(100), b"\x80"),
        [1] * 100,
        b"\x80" * 100,
    )
    places = tuple(reversed(range(100)))
    assert decode_chunk(encode_chunk(events, places)) == (events, places)


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
        payload_of([*GOOD[:5], [1, "2"]]),
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


@given(st.integers(0, len(encode_chunk(EVENTS, PLACES)) - 1), st.integers(1, 255))
@example(0, 1)
def test_a_flipped_byte_is_refused_or_gives_a_well_formed_chunk(at: int, mask: int) -> None:
    payload = bytearray(encode_chunk(EVENTS, PLACES))
    payload[at] ^= mask
    try:
        events, places = decode_chunk(bytes(payload))
    except DamagedPayload:
        return
    assert sum(events.sizes) == len(events.bodies)
    assert len(places) in {0, len(events.sizes)}


@given(
    st.lists(
        st.sampled_from([b"", b"why", b"late", b"x" * 40_000, b"y" * 60_000, b"z" * 64_000]), max_size=100
    )
)
def test_details_come_back_each_to_its_delivery_within_the_bound(details: list[bytes]) -> None:
    packed = encode_details(details)
    assert len(packed) <= DETAILS_BYTES_MAX + 1024
    kept = decode_details(packed, len(details))
    assert [one in {own, b""} for own, one in zip(details, kept, strict=True)] == [True] * len(details)
    if sum(map(len, set(details))) <= DETAILS_BYTES_MAX:
        assert kept == details


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc0",
        b"\x92\x90\xa0",
        msgpack.packb([[b""], b"\x01"]),
        msgpack.packb([["a"], b"\x00"]),
        b"\x93",
    ],
)
def test_damaged_details_are_none(packed: bytes) -> None:
    assert decode_details(packed, 1) == [b""]

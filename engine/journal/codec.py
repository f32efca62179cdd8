"""A stored chunk as bytes: a format byte, the headers' length, the headers in msgpack, then the bodies.

The bodies are never looked at. What is read back is held to the limits of the wire before it is believed: a disk
can lie as well as a peer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgpack

from sandbox.wire import CHUNK_EVENTS_MAX, DETAIL_BYTES_MAX, Events, WireError, check_events, unpack_limited

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT: Final = 1
_PREFIX: Final = struct.Struct("<BI")
_COLUMN_TYPES: Final = (bytes, list, list, dict, list, list)
DETAILS_BYTES_MAX: Final = 2 * DETAIL_BYTES_MAX
"""Of one entry of the shelf: a hundred ordinary errors, or two of the largest."""

Places = tuple[int, ...]


class DamagedPayload(ValueError):
    """Stored bytes that aren't what `encode_chunk` makes."""


def encode_chunk(events: Events, places: Places) -> bytes:
    """The payload of a chunk. `places` as in `model.Chunk`."""
    headers: bytes = msgpack.packb([*events[:5], places])
    return b"".join((_PREFIX.pack(FORMAT, len(headers)), headers, events.bodies))


def decode_chunk(payload: bytes) -> tuple[Events, Places]:
    """What `encode_chunk` was given. Raises `DamagedPayload`."""
    if len(payload) < _PREFIX.size:
        raise DamagedPayload(f"a payload of {len(payload)} bytes has no prefix")
    stored_format, header_bytes = _PREFIX.unpack_from(payload)
    if stored_format != FORMAT:
        raise DamagedPayload(f"a payload of format {stored_format}, where {FORMAT} was expected")
    bodies_at = _PREFIX.size + header_bytes
    if bodies_at > len(payload):
        raise DamagedPayload("the headers are longer than the payload")
    try:
        columns = unpack_limited(
            payload[_PREFIX.size : bodies_at], items_max=CHUNK_EVENTS_MAX, map_max=CHUNK_EVENTS_MAX
        )
        if type(columns) is not list or tuple(map(type, columns)) != _COLUMN_TYPES:
            raise DamagedPayload("the headers are not the columns of a chunk")
        types, message_ids, user_keys, integrations, sizes, places = columns
        events = Events(types, message_ids, user_keys, integrations, sizes, payload[bodies_at:])
        check_events(events)
    except WireError as error:
        raise DamagedPayload(str(error)) from None
    if places and (len(places) != len(sizes) or set(map(type, places)) != {int}):
        raise DamagedPayload("the places are not a number for each event")
    return events, tuple(places)


def encode_details(details: Sequence[bytes]) -> bytes:
    """Details of the deliveries of a shelf's entry, equal ones once; those beyond `DETAILS_BYTES_MAX` are left out.

    The distinct ones, and for each delivery the place of its own there.
    """
    if not any(details):
        return b""
    numbers = {b"": 0}
    size = 0
    places = bytearray()
    for detail in details:
        if detail not in numbers and size + len(detail) <= DETAILS_BYTES_MAX:
            size += len(detail)
            numbers[detail] = len(numbers)
        places.append(numbers.get(detail, 0))
    packed: bytes = msgpack.packb([list(numbers), bytes(places)])
    return packed


def decode_details(packed: bytes, count: int) -> list[bytes]:
    """A detail of each of `count` deliveries; all empty if none were kept, or if the bytes are damaged."""
    try:
        distinct, places = unpack_limited(packed, items_max=CHUNK_EVENTS_MAX + 1, map_max=0)
        if len(places) == count and set(map(type, distinct)) <= {bytes}:
            return [distinct[place] for place in places]
    except (WireError, TypeError, ValueError, IndexError):
        pass
    return [b""] * count

"""A stored chunk as bytes: a format byte, the headers' length, the headers in msgpack, then the bodies.

The bodies are never looked at. What is read back is held to the limits of the wire before it is believed: a disk
can lie as well as a peer.
"""

from __future__ import annotations

import itertools
import struct
from typing import Final

import msgpack

from sandbox.wire import CHUNK_EVENTS_MAX, Events, WireError, check_events, unpack_limited

FORMAT: Final = 1
_PREFIX: Final = struct.Struct("<BI")
_COLUMN_TYPES: Final = (bytes, list, list, dict, list, list)

Origins = tuple[tuple[int, int], ...]


class DamagedPayload(ValueError):
    """Stored bytes that aren't what `encode_chunk` makes."""


def encode_chunk(events: Events, origins: Origins) -> bytes:
    """The payload of a chunk. `origins` as in `model.Chunk`: empty, or (chunk id, index) of each event."""
    headers: bytes = msgpack.packb([*events[:5], list(itertools.chain.from_iterable(origins))])
    return b"".join((_PREFIX.pack(FORMAT, len(headers)), headers, events.bodies))


def decode_chunk(payload: bytes) -> tuple[Events, Origins]:
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
            payload[_PREFIX.size : bodies_at], items_max=2 * CHUNK_EVENTS_MAX, map_max=CHUNK_EVENTS_MAX
        )
        if type(columns) is not list or tuple(map(type, columns)) != _COLUMN_TYPES:
            raise DamagedPayload("the headers are not the columns of a chunk")
        types, message_ids, user_keys, integrations, sizes, origins = columns
        events = Events(types, message_ids, user_keys, integrations, sizes, payload[bodies_at:])
        check_events(events)
    except WireError as error:
        raise DamagedPayload(str(error)) from None
    return events, _pairs(origins, len(sizes))


def _pairs(flat: list[int], count: int) -> Origins:
    if flat and (len(flat) != 2 * count or set(map(type, flat)) != {int}):
        raise DamagedPayload("the origins are not a pair of numbers for each event")
    return tuple(zip(flat[::2], flat[1::2], strict=True))

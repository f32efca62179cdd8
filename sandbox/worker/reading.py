"""An event's body, and whether the header that came with it tells the truth."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from msgpack import exceptions, unpackb

from sandbox import wire
from sandbox.runtime.errors import InvalidEventPayload

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES: Final = wire.EVENT_TYPES
_UNREADABLE: Final = (exceptions.UnpackException, ValueError, TypeError, KeyError, AttributeError)


def read_event(body: bytes, type_index: int, message_id: str, user_key: str) -> dict[str, Any]:
    """A fresh, mutable event. Raises `InvalidEventPayload` if it can't be read, or its header says otherwise."""
    try:
        event: dict[str, Any] = unpackb(body)
        is_same = event["type"] == _TYPES[type_index]
        own_id = event.get("messageId")
        if own_id != message_id:
            is_same = is_same and not message_id and type(own_id) is not str
        if user_key and (event.get("userId") or event.get("anonymousId")) != user_key:
            is_same = False
    except _UNREADABLE:
        raise InvalidEventPayload("the event's body can't be read") from None
    if not is_same:
        raise InvalidEventPayload("the event's header and body differ")
    event.pop("writeKey", None)  # who sent it is the engine's business, not the function's
    return event


def bodies_of(frame: wire.Invoke) -> Iterator[tuple[bytes, int, str, str]]:
    """The arguments of `read_event`, an event at a time."""
    sizes = frame.sizes
    cuts = map(slice, itertools.accumulate(sizes, initial=0), itertools.accumulate(sizes))
    return zip(
        map(frame.bodies.__getitem__, cuts), frame.types, frame.message_ids, frame.user_keys, strict=True
    )

"""Events of a client → columns of the wire: checked, encoded, with their headers beside their bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

from engine.errors import InvalidEvent
from sandbox.wire import (
    CHUNK_BYTES_MAX,
    CHUNK_EVENTS_MAX,
    EVENT_BYTES_MAX,
    EVENT_TYPE_INDEX,
    MESSAGE_ID_CHARS_MAX,
    USER_KEY_CHARS_MAX,
    Events,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INT_MAX: Final = 2**64 - 1
INT_MIN: Final = -(2**63)
INTEGRATIONS_MAX: Final = 400
"""Names in an event's `integrations`, where one of them is false."""


class Columns:
    """Events as they are encoded, one after the other. What can't be sent is left out by whoever catches its error."""

    __slots__ = ("_bodies", "_integrations", "_message_ids", "_types", "_user_keys", "body_bytes")

    def __init__(self) -> None:
        self.body_bytes = 0
        self._types = bytearray()
        self._message_ids: list[str] = []
        self._user_keys: list[str] = []
        self._integrations: dict[int, bytes] = {}
        self._bodies: list[bytes] = []

    def __len__(self) -> int:
        return len(self._bodies)

    def add(self, event: Any) -> None:
        """One more. Raises `InvalidEvent`, and is as it was."""
        kind, message_id, user_key, body = encode_event(event)
        if (wishes := event.get("integrations")) and (packed := _wishes(wishes)):
            self._integrations[len(self._bodies)] = packed
        self._types.append(kind)
        self._message_ids.append(message_id)
        self._user_keys.append(user_key)
        self._bodies.append(body)
        self.body_bytes += len(body)

    def events(self) -> Events:
        """All of them."""
        return Events(
            bytes(self._types),
            self._message_ids,
            self._user_keys,
            self._integrations,
            list(map(len, self._bodies)),
            b"".join(self._bodies),
        )


def encode_events(events: Iterable[dict[str, Any]]) -> Events:
    """All of them, or `InvalidEvent` with the index (from 0) of the first that can't be sent, and why."""
    columns = Columns()
    for index, event in enumerate(events):
        try:
            columns.add(event)
        except InvalidEvent as error:
            raise InvalidEvent(
                f"event {index}: {error.message}", remedy=error.remedy, data={"index": index}
            ) from None
    return columns.events()


def encode_event(event: Any) -> tuple[int, str, str, bytes]:
    """Type index, message id, user key, body. Raises `InvalidEvent`."""
    if type(event) is not dict:
        raise InvalidEvent(
            f"an event is an object, not {type(event).__name__}", remedy="send one JSON object an event"
        )
    name = event.get("type")
    kind = EVENT_TYPE_INDEX.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidEvent(
            f"{str(name)[:40]!r} is no type of event",
            remedy=f"use one of {', '.join(EVENT_TYPE_INDEX)}",
        )
    try:
        body: bytes = msgpack.packb(event)
    except (OverflowError, UnicodeEncodeError, ValueError, TypeError):
        event = _mend(event)
        try:
            body = msgpack.packb(event)
        except (OverflowError, UnicodeEncodeError, ValueError, TypeError) as error:
            raise InvalidEvent(
                f"it can't be encoded: {error}", remedy="use the types that JSON has"
            ) from None
    if len(body) > EVENT_BYTES_MAX:
        raise InvalidEvent(
            f"it is {len(body)} bytes; {EVENT_BYTES_MAX} are allowed", remedy="send less in one event"
        )
    message_id = event.get("messageId")
    message_id = message_id if type(message_id) is str else ""
    if len(message_id) > MESSAGE_ID_CHARS_MAX:
        raise InvalidEvent(
            f"its messageId has {len(message_id)} characters; {MESSAGE_ID_CHARS_MAX} are allowed",
            remedy="use a shorter one",
        )
    user_key = event.get("userId") or event.get("anonymousId")
    user_key = user_key if type(user_key) is str and len(user_key) <= USER_KEY_CHARS_MAX else ""
    return kind, message_id, user_key, body


def _wishes(value: Any) -> bytes:
    """Which destinations an event wants: name → true or false, packed; empty if it wants all that there are.

    An object instead of true carries options for a destination; they travel in the body.
    """
    if type(value) is not dict or all(value.values()):
        return b""
    if len(value) > INTEGRATIONS_MAX:
        raise InvalidEvent(
            f"its integrations have {len(value)} names; {INTEGRATIONS_MAX} are allowed",
            remedy="name those that it must not reach, or that it must",
        )
    packed: bytes = msgpack.packb(
        {key: bool(item) for key, item in value.items() if type(key) is str}, unicode_errors="replace"
    )
    return packed


def _mend(value: Any, depth: int = 0) -> Any:
    """What msgpack can't carry: integers beyond 64 bits become floats, lone surrogates U+FFFD."""
    if depth > 200:
        raise InvalidEvent("it is nested too deeply", remedy="send flatter objects")
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int) and not isinstance(value, bool) and not INT_MIN <= value <= INT_MAX:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, dict):
        return {_mend(key, depth + 1): _mend(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mend(item, depth + 1) for item in value]
    return value


def split_chunks(events: Events) -> Iterator[Events]:
    """Cut columns into chunk-sized ones: at most `CHUNK_EVENTS_MAX` events and `CHUNK_BYTES_MAX` bytes each."""
    sizes = events.sizes
    if len(sizes) <= CHUNK_EVENTS_MAX and len(events.bodies) <= CHUNK_BYTES_MAX:
        yield events
        return
    start = total = 0
    for index, size in enumerate(sizes):
        if index - start == CHUNK_EVENTS_MAX or total + size > CHUNK_BYTES_MAX:
            yield events.slice(start, index)
            start, total = index, 0
        total += size
    yield events.slice(start, len(sizes))

"""A document that a client sent → events that can be submitted: pure.

Each event is completed as Segment's API does: what a batch says for all (`context`, `integrations`, `sentAt`) is merged
into it, `receivedAt` and, if it has none, `messageId` are added, `timestamp` is corrected (see `times`), what it was
stays as `originalTimestamp`. A write key is taken out: functions have no use for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.errors import InvalidEvent
from engine.events import Columns
from engine.gateway.tracking import times
from engine.gateway.tracking.bodies import BadBody
from sandbox.wire import EVENT_BYTES_MAX, MESSAGE_ID_CHARS_MAX, SUBMIT_EVENTS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    from sandbox.wire import Events

BATCH_EVENTS_MAX: Final = SUBMIT_EVENTS_MAX
FRAME_BYTES_MAX: Final = 1 << 20
"""Bodies of one submit. Only a batch whose `context` grows in each of its events needs more than one."""
COMMON_CHARS_MAX: Final = 4 * EVENT_BYTES_MAX
"""As JSON, which may be longer than msgpack, but not four times."""
REFUSED_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the gateway knows of a request."""

    received_at: datetime
    received: str
    """The same as text."""
    new_id: Callable[[], str]
    """A `messageId` for an event without one."""

    @classmethod
    def at(cls, now_ms: int, new_id: Callable[[], str]) -> Arrival:
        """Of a request that is complete."""
        received_at = times.received(now_ms)
        return cls(received_at, times.as_text(received_at), new_id)


@dataclass(slots=True)
class Refused:
    """Events of a request that can't be taken, by their index from 0; the first are told."""

    count: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)

    def add(self, index: int, error: InvalidEvent) -> None:
        """One more."""
        self.count += 1
        if len(self.told) < REFUSED_TOLD:
            self.told.append({"index": index, "message": error.message})


@dataclass(frozen=True, slots=True)
class Common:
    """What a batch says for each of its events."""

    context: dict[str, Any] | None
    integrations: dict[str, Any] | None
    sent_at: Any
    skew: timedelta | None
    """None: it doesn't say when it was sent, or not so that it can be read."""


def write_key_of(document: Any) -> str | None:
    """The key that a document carries: its own or, of a batch, its first event's; None if it carries none."""
    if type(document) is not dict:
        return None
    key = document.get("writeKey")
    if key is None and type(batch := document.get("batch")) is list and batch and type(batch[0]) is dict:
        key = batch[0].get("writeKey")
    return key if type(key) is str else None


def single(document: Any, kind: str, arrival: Arrival, refused: Refused) -> Iterator[Events]:
    """The one event of a call like `/v1/track`, its type that of the path.

    The document is used up: while its events wait for the disk, objects of many times their size don't.
    """
    if type(document) is not dict:
        refused.add(0, InvalidEvent("an event is an object"))
        return
    document["type"] = kind
    columns = Columns()
    try:
        columns.add(_completed(document, arrival, times.skew(arrival.received_at, document.get("sentAt"))))
    except InvalidEvent as error:
        refused.add(0, error)
        return
    document.clear()
    yield columns.events()


def batch(document: Any, arrival: Arrival, refused: Refused) -> Iterator[Events]:
    """The events of `/v1/batch`, a frame's worth at a time, without those that can't be taken. Raises `BadBody`.

    The document is used up, as by `single`.
    """
    events = document.get("batch") if type(document) is dict else None
    if type(events) is not list or not events:
        raise BadBody("a batch is an object whose `batch` is a list of events")
    if len(events) > BATCH_EVENTS_MAX:
        raise BadBody(f"the batch has {len(events)} events; {BATCH_EVENTS_MAX} are allowed")
    for name in ("context", "integrations"):
        _check_common(name, document.get(name))
    return _frames(document, events, arrival, refused)


def _frames(
    document: dict[str, Any], events: list[Any], arrival: Arrival, refused: Refused
) -> Iterator[Events]:
    common = Common(
        document.get("context"),
        document.get("integrations"),
        document.get("sentAt"),
        times.skew(arrival.received_at, document.get("sentAt")),
    )
    document.clear()
    columns = Columns()
    for index in range(len(events)):
        try:
            columns.add(_merged(events[index], common, arrival))
        except InvalidEvent as error:
            refused.add(index, error)
        events[index] = None
        if columns.body_bytes > FRAME_BYTES_MAX:
            yield columns.events()
            columns = Columns()
    if len(columns):
        yield columns.events()


def _merged(event: Any, common: Common, arrival: Arrival) -> dict[str, Any]:
    if type(event) is not dict:
        raise InvalidEvent("an event is an object")
    if common.context:
        _merge(event, "context", common.context)
    if common.integrations:
        _merge(event, "integrations", common.integrations)
    skew = common.skew
    if skew is None:
        skew = times.skew(arrival.received_at, event.get("sentAt"))
    elif event.get("sentAt") is None:
        event["sentAt"] = common.sent_at
    return _completed(event, arrival, skew)


def _check_common(name: str, common: Any) -> None:
    """What is merged into each event costs time in each: it is no longer than an event can be."""
    if common is None:
        return
    if type(common) is not dict:
        raise BadBody(f"the batch's {name} is no object")
    try:
        size = len(json.dumps(common, ensure_ascii=False))
    except RecursionError:
        raise BadBody(f"the batch's {name} is nested too deeply") from None
    if size > COMMON_CHARS_MAX:
        raise BadBody(f"the batch's {name} is longer than an event may be")


def _merge(event: dict[str, Any], name: str, common: dict[str, Any]) -> None:
    """What the event says itself wins, name by name."""
    own = event.get(name)
    if own is None:
        event[name] = common
    elif type(own) is dict:
        event[name] = {**common, **own}


def _completed(event: dict[str, Any], arrival: Arrival, skew: timedelta | None) -> dict[str, Any]:
    message_id = event.get("messageId")
    if message_id is None or message_id == "":
        event["messageId"] = arrival.new_id()
    elif type(message_id) is not str:
        raise InvalidEvent("its messageId is no text")
    elif len(message_id) >= MESSAGE_ID_CHARS_MAX:
        raise InvalidEvent(f"its messageId has {MESSAGE_ID_CHARS_MAX} characters or more")
    if not (_is_id(event.get("userId")) or _is_id(event.get("anonymousId"))):
        raise InvalidEvent("it has neither a userId nor an anonymousId")
    if event.get("type") == "track" and (type(event.get("event")) is not str or not event["event"]):
        raise InvalidEvent("a track event has no `event`, its name")
    event.pop("writeKey", None)
    event["receivedAt"] = arrival.received
    own = event.get("timestamp")
    if own is None:
        own = event.get("originalTimestamp")
    elif event.get("originalTimestamp") is None:
        event["originalTimestamp"] = own
    event["timestamp"] = times.corrected(own, skew) or arrival.received
    return event


def _is_id(value: Any) -> bool:
    """Text, or a number as some libraries send it."""
    return (type(value) is str and value != "") or type(value) is int

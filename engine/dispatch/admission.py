"""Pure: what a destination with `queue_events` still takes.

A submit addressed to it is refused as a whole when it doesn't fit. What reaches it from a source that feeds others too
can't be refused for all of them: what doesn't fit is shelved as `dead(overflow)`, and can be replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.errors import QueueFull

if TYPE_CHECKING:
    from sandbox.wire import Events

RETRY_MS_MIN: Final = 1_000
RETRY_MS_MAX: Final = 60_000


def room(*, stored: int, queue_events: int) -> int:
    """How many more events may be stored; 0 as `queue_events` is no limit."""
    return max(0, queue_events - stored) if queue_events else 1 << 62


def refusal(name: str, *, stored: int, count: int, queue_events: int, mean_us: float | None) -> QueueFull:
    """Why a submit of `count` events is refused, and when there may be room: `mean_us` is what an event takes."""
    excess = stored + count - queue_events
    wait_ms = RETRY_MS_MAX if mean_us is None else int(excess * mean_us / 1000)
    after_ms = max(RETRY_MS_MIN, min(RETRY_MS_MAX, wait_ms))
    remedy = (
        "send fewer at once, or deploy it with a greater --queue-events"
        if count > queue_events
        else f"try again after {after_ms} ms; `engine show {name}` says what it waits for"
    )
    return QueueFull(
        f"{name!r} has {stored} events stored and takes {queue_events}: {count} more don't fit",
        remedy=remedy,
        data={"stored": stored, "queue_events": queue_events, "retry_after_ms": after_ms},
    )


def divide(events: Events, place: int) -> tuple[Events | None, Events | None]:
    """The first `place` events, which fit, and the others, which go to the shelf."""
    count = len(events.sizes)
    if place >= count:
        return events, None
    if place == 0:
        return None, events
    return events.slice(0, place), events.slice(place, count)

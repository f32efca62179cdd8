"""When an event happened, by a clock that may be wrong: `timestamp = receivedAt - (sentAt - originalTimestamp)`.

What the client's clock said of sending tells how far it is off, and how long the event waited there
(Segment's spec, “Timestamps”).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def received(now_ms: int) -> datetime:
    """Without a zone: all times here are UTC."""
    return datetime(1970, 1, 1) + timedelta(milliseconds=now_ms)  # noqa: DTZ001  see above


def as_text(moment: datetime) -> str:
    """ISO 8601 in milliseconds, as in `2026-11-24T21:00:00.123Z`."""
    return moment.isoformat(timespec="milliseconds") + "Z"


def parse(value: Any) -> datetime | None:
    """A time as clients write it, in UTC; one without a zone is taken for UTC. None if it is none."""
    if type(value) is not str:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return moment
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=None)


def skew(received_at: datetime, sent_at: Any) -> timedelta | None:
    """What to add to times of the client's clock; None if it doesn't say when it sent this."""
    moment = parse(sent_at)
    return received_at - moment if moment is not None else None


def corrected(value: Any, by: timedelta | None) -> str | None:
    """A time of the client's clock by ours; None if it is none."""
    moment = parse(value)
    if moment is None:
        return None
    try:
        return as_text(moment if by is None else moment + by)
    except OverflowError:
        return None

"""Pure: minutes, hours and days that are counted in, and what the last minute or the last hour is of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from engine.model import FAILED_CODES
from engine.records import histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EVER: Final = 0
MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
SPANS: Final = (EVER, MINUTE, HOUR, DAY)
"""Seconds each; `EVER` has one row since the destination was made."""

WINDOWS: Final = {
    "1m": (MINUTE, 60),
    "5m": (MINUTE, 300),
    "1h": (MINUTE, HOUR),
    "1d": (HOUR, DAY),
    "30d": (DAY, 30 * DAY),
}
"""Name of a window that reaches back from now → the spans it is added up from, and its length in seconds."""

BUSY: Final = "busy"
"""A counter's name: events that workers ended, with the time each took as histogram (µs)."""
RETRIED: Final = "retried"
DEAD: Final = "dead"
DUPLICATES: Final = "duplicates"
"""Events that were acknowledged and not taken, because their messageId was known."""
VERDICTS: Final = {"retry": RETRIED, "dead": DEAD}
RESPONSES: Final = {name: f"http_{name}" for name in ("1xx", "2xx", "3xx", "4xx", "5xx", "failed")}
"""Class of status, or `failed` → the counter of fetches that ended so."""
ATTEMPTS_DROPPED: Final = "attempts_dropped"
ATTEMPTS_PRUNED: Final = "attempts_pruned"
NOT_CODES: Final = frozenset(
    {BUSY, RETRIED, DEAD, DUPLICATES, ATTEMPTS_DROPPED, ATTEMPTS_PRUNED, *RESPONSES.values()}
)
"""Counters that are no outcome codes."""


def start_of(span_s: int, now_s: int) -> int:
    """When the span that `now_s` lies in began: seconds since the epoch, by UTC."""
    return now_s - now_s % span_s if span_s else 0


def share_of(start_s: int, span_s: int, now_s: float, window_s: int) -> float:
    """How much of a span lies within the window that ends now, from 0 to 1: its counts are taken as even.

    The span that is running is in it whole, as all that was counted in it is.
    """
    begun_s = now_s - window_s
    if start_s >= begun_s:
        return 1.0
    end_s = min(start_s + span_s, max(now_s, start_s + 1))
    return max(end_s - begun_s, 0.0) / (end_s - start_s)


def responses(counts: Mapping[str, float]) -> dict[str, int]:
    """Of counters those of HTTP: class of status, or `failed` → fetches."""
    return {name: round(counts[key]) for name, key in RESPONSES.items() if key in counts}


@dataclass(slots=True)
class Window:
    """What happened in a window, as far as it is recorded."""

    seconds: int
    counts: dict[str, float] = field(default_factory=dict)
    latency: histogram.Histogram = field(default_factory=dict)
    """Of what was delivered: from acceptance to the outcome, ms."""
    busy: histogram.Histogram = field(default_factory=dict)
    """How long workers took for an event, µs."""

    @property
    def delivered(self) -> float:
        """Deliveries."""
        return self.counts.get("delivered", 0)

    @property
    def failed(self) -> float:
        """Attempts that failed through the function's fault, as `FAILED_CODES` has it."""
        return sum(self.counts.get(code, 0) for code in FAILED_CODES)


def add_up(rows: Iterable[tuple[int, str, int, bytes]], name: str, now_s: float) -> Window:
    """The window `name`, of rows (start_s, counter, count, packed histogram) of its spans; older ones are left out."""
    span_s, seconds = WINDOWS[name]
    window = Window(seconds)
    for start_s, counter, count, packed in rows:
        share = share_of(start_s, span_s, now_s, seconds)
        if not share:
            continue
        window.counts[counter] = window.counts.get(counter, 0) + count * share
        if counter == "delivered":
            histogram.merge(window.latency, histogram.unpack(packed))
        elif counter == BUSY:
            histogram.merge(window.busy, histogram.unpack(packed))
    return window

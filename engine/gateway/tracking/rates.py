"""How many requests a source may make: a bucket each, refilled by time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.clock import Clock


BUCKETS_MAX: Final = 10_000
"""Beyond it all begin anew: sources come and go."""


class Rates:
    """Buckets of the sources that made requests."""

    def __init__(self, requests_per_s: int, clock: Clock) -> None:
        """0 requests a second are no limit."""
        self._per_s = requests_per_s
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, source: str) -> bool:
        """Whether one more may be made now. A source that was silent may make a second's worth at once."""
        if not self._per_s:
            return True
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.clear()
        now = self._clock.monotonic()
        left, at = self._buckets.get(source, (float(self._per_s), now))
        left = min(left + (now - at) * self._per_s, float(self._per_s))
        is_allowed = left >= 1
        self._buckets[source] = (left - 1 if is_allowed else left, now)
        return is_allowed

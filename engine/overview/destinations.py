"""What is measured of destinations, under a bounded number of names.

A destination keeps its label for life, and so does one that has none and is counted under `OTHER`: were either
changed, a counter would fall, and a fall reads as a restart. What a removed one had counted stays in `OTHER`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from engine.metrics import DESTINATIONS_MAX, OTHER, Buckets
from engine.records import spans
from engine.records.histogram import middle_of

if TYPE_CHECKING:
    from engine.dispatch.lane import Lane
    from engine.metrics import Samples
    from engine.records.histogram import Histogram

DELIVERY_BOUNDS_MS: Final = tuple(4 << (2 * step) for step in range(12))
"""4 ms to 4.7 hours: each is where a bucket of `records.histogram` begins, so that none is divided."""
VERDICT_METRICS: Final = {
    spans.RETRIED: "retried_total",
    spans.DEAD: "dead_total",
    spans.DUPLICATES: "duplicates_total",
}


class Tally:
    """What was counted of one destination, or of several together."""

    __slots__ = ("counts", "latency")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latency = Buckets([bound / 1000 for bound in DELIVERY_BOUNDS_MS])

    def add(self, lane: Lane) -> None:
        """What was counted of a destination since the daemon's start."""
        for name, entry in lane.record.since_start().items():
            self.counts[name] += entry.count
            if name == "delivered":
                add_latencies(self.latency, entry.histogram)

    def report(self, samples: Samples, label: str) -> None:
        """As samples."""
        for name, count in sorted(self.counts.items()):
            if name in VERDICT_METRICS:
                samples.add(VERDICT_METRICS[name], count, label)
            elif name not in spans.NOT_CODES:
                samples.add("outcomes_total", count, label, name)
        if self.counts["delivered"]:
            samples.add("delivery_seconds", self.latency, label)
        for result, count in sorted(spans.responses(self.counts).items()):
            samples.add("fetches_total", count, label, result)


def add_latencies(into: Buckets, latencies_ms: Histogram) -> None:
    """Milliseconds as `records.histogram` counts them. A bucket's values count as its middle in the sum."""
    for bucket, count in latencies_ms.items():
        middle_ms = middle_of(bucket)
        at = sum(bound <= middle_ms for bound in DELIVERY_BOUNDS_MS)
        into.counts[at] += count
        into.sum += count * middle_ms / 1000


class Labels:
    """Which destinations have samples of their own."""

    def __init__(self) -> None:
        self._named: set[int] = set()
        self._unnamed: set[int] = set()
        self._gone = Tally()

    def of(self, lane: Lane) -> str:
        """The destination's name, or `OTHER`; always the same one."""
        destination = lane.destination
        if destination.id in self._named:
            return destination.name
        if destination.id not in self._unnamed:
            if len(self._named) < DESTINATIONS_MAX and destination.name != OTHER:
                self._named.add(destination.id)
                return destination.name
            self._unnamed.add(destination.id)
        return OTHER

    def forget(self, lane: Lane) -> None:
        """It is removed: its own samples end, or what `OTHER` has of it stays."""
        self._named.discard(lane.destination.id)
        if lane.destination.id in self._unnamed:
            self._unnamed.discard(lane.destination.id)
            self._gone.add(lane)

    def others(self) -> Tally:
        """What `OTHER` begins with."""
        tally = Tally()
        tally.counts.update(self._gone.counts)
        tally.latency.merge(self._gone.latency.counts, self._gone.latency.sum)
        return tally

"""What happened at one destination, as it is counted: two dict look-ups a report, whatever the number of events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.records import histogram, spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.records.attempts import Attempt


@dataclass(slots=True, eq=False)
class Count:
    """One counter since it was last taken."""

    count: int = 0
    histogram: histogram.Histogram = field(default_factory=dict)


def add_to(counted: dict[str, Count], name: str, entry: Count) -> None:
    """Count what `entry` has, too."""
    total = counted.setdefault(name, Count())
    total.count += entry.count
    if name == "delivered":  # the only one whose histogram is asked for over all time
        histogram.merge(total.histogram, entry.histogram)


class Counts(NamedTuple):
    """What was counted of one destination in one minute."""

    destination_id: int
    minute_s: int
    by_name: dict[str, Count]


class Record:
    """What the dispatcher tells of one destination. Never waits, never raises; its owner is `records.Records`."""

    __slots__ = ("_became_dirty", "_keep", "_taken", "destination_id", "is_followed", "open", "totals")

    def __init__(
        self,
        destination_id: int,
        *,
        became_dirty: Callable[[Record], None],
        keep: Callable[[Record, Attempt], None],
    ) -> None:
        """`became_dirty` is called at the first count since `take`, `keep` for every attempt."""
        self.destination_id = destination_id
        self.is_followed = False
        """Somebody wants to see successes too."""
        self.totals: dict[str, int] = {}
        """Counter → count since the destination was made."""
        self.open: dict[str, Count] = {}
        """Counter → what was counted and not yet taken."""
        self._taken: dict[str, Count] = {}
        """Counter → what was taken since the start."""
        self._became_dirty = became_dirty
        self._keep = keep

    def count(self, name: str, count: int, value: int = 0) -> None:
        """`count` more of an outcome code, or of one of `spans.NOT_CODES`.

        `value` is what each of them took: ms from acceptance to the outcome; for `busy` µs in the worker.
        """
        self.totals[name] = self.totals.get(name, 0) + count
        entry = self.open.get(name)
        if entry is None:
            if not self.open:
                self._became_dirty(self)
            entry = self.open[name] = Count()
        entry.count += count
        bucket = histogram.bucket_of(value)
        entry.histogram[bucket] = entry.histogram.get(bucket, 0) + count

    def count_verdict(self, kind: str, count: int) -> None:
        """What becomes of attempts that failed: a kind of `engine.model.PART_KINDS`."""
        if kind in spans.VERDICTS:
            self.count(spans.VERDICTS[kind], count)

    def add(self, attempt: Attempt) -> None:
        """The particulars of an attempt that failed, or that somebody follows."""
        self._keep(self, attempt)

    @property
    def by_code(self) -> dict[str, int]:
        """Outcome code → attempts since the destination was made."""
        return {name: count for name, count in self.totals.items() if name not in spans.NOT_CODES}

    def take(self) -> dict[str, Count]:
        """What was counted since the last time."""
        taken, self.open = self.open, {}
        for name, entry in taken.items():
            add_to(self._taken, name, entry)
        return taken

    def since_start(self) -> dict[str, Count]:
        """Counter → what was counted since this process began."""
        counted: dict[str, Count] = {}
        for part in (self._taken, self.open):
            for name, entry in part.items():
                add_to(counted, name, entry)
        return counted

"""What a worker holds, by sequence number; and whether what it reports is its to report. Pure.

    take(runs) ─► numbers      end(outcomes) ─► what has ended, or `WireError`      started(index) ─► who was being run

An outcome of a delivery that the worker doesn't hold, or one reported twice, is no outcome: the whole frame is
refused, and everything in it is still held.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True, eq=False)
class Run:
    """Consecutive deliveries of one chunk, on their way through a worker. `remaining` has a bit for each not yet ended."""

    owner: Any
    """Whose they are; the worker passes it on and never looks."""
    events: wire.Events
    start: int
    """Place of the first in its chunk."""
    first: int = 0
    """Sequence number of the first in its worker."""
    remaining: int = 0
    batch: int = 0
    """Sequence number at which the batch begins that it is part of; 0 if its events are invocations of their own."""

    def __len__(self) -> int:
        return len(self.events.sizes)

    def invocation(self, offset: int) -> int:
        """What the worker calls the invocation that this event is in."""
        return self.batch or self.first + offset

    def open_places(self) -> list[int]:
        """Places in the chunk of those that haven't ended."""
        return [self.start + at for at in range(len(self)) if self.remaining >> at & 1]


class Ended(NamedTuple):
    """What a frame of outcomes came to."""

    delivered: list[tuple[Run, int, int]]
    """(run, first offset, count)."""
    failures: list[tuple[Run, int, wire.Failure]]
    """(run, offset, row)."""


class Holdings:
    """The deliveries that one worker was given and hasn't ended, and the numbers they have there: from 1, without gaps."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.ended = 0
        self.last = 0
        """The highest number given so far."""
        self._runs: deque[Run] = deque()

    def take(self, runs: Sequence[Run], *, as_batch: bool = False) -> int:
        """Number and keep them; returns the first number."""
        first = self.last + 1
        for run in runs:
            run.first = self.last + 1
            run.batch = first if as_batch else 0
            run.remaining = (1 << len(run)) - 1
            self.last += len(run)
            self._runs.append(run)
        self.in_flight += self.last + 1 - first
        return first

    def end(self, frame: wire.Outcomes) -> Ended:
        """Strike out what a frame reports. Raises `WireError` on a frame that no honest worker sends."""
        ranges, rows = wire.unpack_outcomes(frame, events_max=self.in_flight)
        if not ranges and not rows:
            raise wire.WireError("outcomes of nothing")
        struck: list[tuple[Run, int]] = []
        try:
            delivered = [
                piece for first, count in ranges for piece in self._strike_range(first, count, struck)
            ]
            failures = [(*self._strike(row.sequence, struck), row) for row in rows]
        except wire.WireError:
            for run, bits in struck:
                run.remaining |= bits
            raise
        count = sum(count for _, _, count in delivered) + len(failures)
        self.in_flight -= count
        self.ended += count
        while self._runs and not self._runs[0].remaining:
            self._runs.popleft()
        return Ended(delivered, failures)

    def open_runs(self) -> list[Run]:
        """Those with something that hasn't ended, in order."""
        return [run for run in self._runs if run.remaining]

    def oldest(self) -> int:
        """The lowest number that hasn't ended; 0 if nothing is held."""
        if not self._runs:
            return 0
        run = self._runs[0]
        return run.first + (run.remaining & -run.remaining).bit_length() - 1

    def started(self, index: int) -> list[tuple[Run, int]]:
        """(run, offset) of those that haven't ended and were started when the worker had come to `index`."""
        return [
            (run, offset)
            for run in self._runs
            for offset in range(len(run))
            if run.remaining >> offset & 1 and _begins(run, offset) <= index
        ]

    def running(self, index: int) -> list[tuple[Run, int]]:
        """Of those started, the invocation started last: one event, or a batch."""
        started = self.started(index)
        last = max((_begins(run, offset) for run, offset in started), default=0)
        return [(run, offset) for run, offset in started if _begins(run, offset) == last]

    def _run_of(self, sequence: int) -> Run:
        runs = self._runs
        at = bisect_right(runs, sequence, key=lambda run: run.first) - 1
        if at < 0 or sequence >= runs[at].first + len(runs[at]):
            raise wire.WireError(f"an outcome of number {sequence}, which the worker doesn't hold")
        return runs[at]

    def _strike_range(
        self, first: int, count: int, struck: list[tuple[Run, int]]
    ) -> list[tuple[Run, int, int]]:
        if not 0 < count <= self.in_flight:
            raise wire.WireError("a range of outcomes that is empty or larger than what the worker holds")
        pieces = []
        while count:
            run = self._run_of(first)
            offset = first - run.first
            taken = min(count, len(run) - offset)
            _clear(run, ((1 << taken) - 1) << offset, struck)
            pieces.append((run, offset, taken))
            first, count = first + taken, count - taken
        return pieces

    def _strike(self, sequence: int, struck: list[tuple[Run, int]]) -> tuple[Run, int]:
        run = self._run_of(sequence)
        _clear(run, 1 << (sequence - run.first), struck)
        return run, sequence - run.first


def _clear(run: Run, bits: int, struck: list[tuple[Run, int]]) -> None:
    if run.remaining & bits != bits:
        raise wire.WireError("an outcome was reported twice")
    run.remaining ^= bits
    struck.append((run, bits))


def _begins(run: Run, offset: int) -> int:
    return run.batch or run.first + offset

"""One destination's way through the dispatcher: what is ready, what is out, who works on it."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from engine.dispatch.breaker import CLOSED, Breaker
from engine.dispatch.pacing import Bucket
from engine.dispatch.states import LaneState, check_transition
from engine.workers.holdings import Run
from engine.workers.states import WorkerState

if TYPE_CHECKING:
    import asyncio

    from engine.dispatch.tally import Tally
    from engine.model import Destination, Lease, Stop
    from engine.records.record import Record
    from engine.workers.worker import Worker


_stop_of: Final = itemgetter(1)


@dataclass(slots=True, eq=False)
class Work:
    """A leased chunk being worked on. Bits stand for the chunk's deliveries."""

    lane: Lane
    lease: Lease
    unresolved: int
    """Deliveries whose attempt hasn't ended."""
    delivered: int = 0
    """Ended as delivered, not yet settled."""
    failed: dict[tuple[str, int], list[tuple[int, bytes]]] = field(default_factory=dict)
    """(code, after_ms) → (index, detail) of those that ended otherwise, not yet settled."""
    waiters: list[tuple[int, int, Tally]] = field(default_factory=list)
    """(start, stop, tally) of the submits it came from, in order; only until the first outcome."""
    since: float = 0.0
    """Monotonic time of the oldest outcome not yet settled."""
    queued_at: float = 0.0

    def run(self, start: int, stop: int) -> Run:
        """Its deliveries `start` up to `stop`, ready to be sent."""
        return Run(self, self.lease.chunk.events.slice(start, stop), start)

    def tell(self, start: int, count: int, kind: str, code: str, detail: bytes = b"") -> None:
        """Count the first outcome of consecutive deliveries for whoever waits."""
        stop = start + count
        for at in range(bisect_right(self.waiters, start, key=_stop_of), len(self.waiters)):
            first, last, tally = self.waiters[at]
            if first >= stop:
                break
            tally.add(kind, code, min(last, stop) - max(first, start), detail)


@dataclass(slots=True, eq=False)
class Lane:
    """A destination's queue and its workers."""

    destination: Destination
    record: Record
    state: LaneState = LaneState.RUNNING
    stops: tuple[Stop, ...] = ()
    """When it was stopped by hand, the oldest first."""
    ready: deque[Run] = field(default_factory=deque)
    """Not yet sent. Those in `suspects` go first, each alone."""
    suspects: deque[Run] = field(default_factory=deque)
    """Single deliveries that were running together when their worker died."""
    ready_events: int = 0
    held_bytes: int = 0
    """Of events that are in memory: ready, running, or waiting to be settled."""
    workers: list[Worker] = field(default_factory=list)
    mean_us: float | None = None
    is_blocked: bool = False
    """Its handler is slow because it waits for something, as was seen at the monotonic time `looked_at`."""
    looked_at: float = 0.0
    has_backlog: bool = False
    """Chunks were left on disk: new ones queue behind them there."""
    backlog_turn: int = 0
    """Rises with each chunk left on disk, so that a lease that found none knows whether it still holds."""
    is_leasing: bool = False
    due_timer: asyncio.TimerHandle | None = None
    due_at_ms: int | None = None
    batch_timer: asyncio.TimerHandle | None = None
    batches: dict[int, bool] = field(default_factory=dict)
    """Worker id → whether any event of the batch it runs has succeeded so far."""
    breaker: Breaker = CLOSED
    probe_timer: asyncio.TimerHandle | None = None
    probe_at_ms: int | None = None
    bucket: Bucket = field(default_factory=Bucket)
    rate_timer: asyncio.TimerHandle | None = None
    deaths: int = 0
    """Workers that died in a row without an outcome between."""
    not_before: float = 0.0
    """Monotonic time before which no worker is bound: crash loops back off."""
    load_error: bytes = b""
    """What the last worker that refused the module said: packed `sandbox.wire.Detail`."""
    goes_on: bool = False
    """It is given more in the next turn of the loop."""
    is_waiting_for_slot: bool = False
    uncommitted_events: int = 0
    """On their way to the journal."""
    waiters: dict[int, list[tuple[int, int, Tally]]] = field(default_factory=dict)
    """Chunk id → who waits for it, of chunks left on disk."""

    def become(self, state: LaneState) -> None:
        """Change state by the table."""
        if state is not self.state:
            check_transition(self.state, state)
            self.state = state

    @property
    def is_removed(self) -> bool:
        """Nothing of it is stored or settled any more."""
        return self.state is LaneState.REMOVED

    @property
    def is_cold(self) -> bool:
        """It has no worker, or the one that is asked first is suspended."""
        return not self.workers or self.workers[0].state is WorkerState.SUSPENDED

    @property
    def has_work(self) -> bool:
        """Something waits for a worker, in memory or on disk."""
        return bool(self.ready_events or self.has_backlog)

    @property
    def in_flight(self) -> int:
        """Deliveries that workers hold."""
        return sum(worker.in_flight for worker in self.workers)

    def queue(self, work: Work) -> None:
        """Append what remains of a lease: some of its chunk may have been settled before, or be duplicates."""
        remaining, count = work.lease.remaining, len(work.lease.chunk)
        stretches = [(0, count)]
        if remaining.bit_count() < count:
            stretches = _stretches([at for at in range(count) if remaining >> at & 1])
        for start, stop in stretches:
            if work.lease.chunk.alone:
                self.suspects.extend(work.run(at, at + 1) for at in range(start, stop))
            else:
                self.ready.append(work.run(start, stop))
        self.ready_events += remaining.bit_count()

    def requeue(self, run: Run, *, alone: bool = False) -> None:
        """Put back, in front, what a worker didn't end; `alone` if it may have killed it."""
        places = run.open_places()
        self.ready_events += len(places)
        work: Work = run.owner
        if alone:
            self.suspects.extend(work.run(place, place + 1) for place in places)
            return
        for start, stop in reversed(_stretches(places)):
            self.ready.appendleft(work.run(start, stop))

    def drop(self, works: set[Work]) -> None:
        """Without what is ready of those chunks."""
        for queue in (self.ready, self.suspects):
            kept = [run for run in queue if run.owner not in works]
            queue.clear()
            queue.extend(kept)
        self.ready_events = sum(len(run) for run in (*self.ready, *self.suspects))

    def take_alone(self) -> Run:
        """One delivery: a suspect, else the first that is ready."""
        if self.suspects:
            self.ready_events -= 1
            return self.suspects.popleft()
        return self.take(1)[0]

    def take(self, count: int, *, is_cut: bool = True) -> list[Run]:
        """Up to `count` deliveries from the front of `ready`; without `is_cut` none that would leave the rest of its run."""
        runs: list[Run] = []
        while count and self.ready:
            run = self.ready[0]
            size = len(run)
            if size <= count:
                self.ready.popleft()
            elif runs and not is_cut:
                break
            else:
                work: Work = run.owner
                self.ready[0] = work.run(run.start + count, run.start + size)
                run = work.run(run.start, run.start + count)
                size = count
            runs.append(run)
            count -= size
            self.ready_events -= size
        return runs


def _stretches(places: list[int]) -> list[tuple[int, int]]:
    """[3, 4, 5, 9] → [(3, 6), (9, 10)]."""
    stretches: list[tuple[int, int]] = []
    for place in places:
        if stretches and stretches[-1][1] == place:
            stretches[-1] = (stretches[-1][0], place + 1)
        else:
            stretches.append((place, place + 1))
    return stretches

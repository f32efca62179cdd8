"""The records' one thread: a turn at a time it writes what was handed over, answers reads, and keeps house.

    Turn ─► retention ─► write ─► reads ─► Done

Whatever fails, the thread goes on, and nobody waits for it: attempts that can't be written are dropped and counted;
counters are kept for the next turn.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import apsw
import structlog

from engine.errors import Unavailable
from engine.records import histogram, retention
from engine.records.record import Count, Counts
from engine.records.store import UNUSABLE, Store, set_aside

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from engine.clock import Clock
    from engine.records.attempts import Attempt
    from engine.records.retention import Bounds

log = structlog.get_logger()

UNWRITTEN_MAX: Final = 20_000
"""(destination, minute) pairs of counters kept while the file can't be written; beyond it a destination's minutes run together."""
HOUSEKEEPING_EVERY_S: Final = 60.0
HOUSEKEEPING_S_MAX: Final = 0.2
"""For one turn; what is left is for the next."""
TRANSIENT: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.ReadOnlyError,
)
"""What a second try may mend, and what is in the file can be read meanwhile."""
DAMAGED: Final = (*UNUSABLE, apsw.SQLError, ValueError)
"""What no second try mends: pages, tables or histograms that aren't ours."""


@dataclass(slots=True, eq=False)
class Read:
    """Answered by what `read` returns."""

    future: asyncio.Future[Any]
    read: Callable[[Store], Any]


@dataclass(slots=True, eq=False)
class Turn:
    """What the thread is given at a time."""

    counters: list[Counts] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    is_last: bool = False


@dataclass(slots=True, eq=False)
class Done:
    """How a turn went."""

    answers: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = field(default_factory=list)
    """Of its reads: what was read, or why it could not be."""
    dropped: dict[int, int] = field(default_factory=dict)
    """Destination id → attempts that could not be written."""
    pruned: dict[int, int] = field(default_factory=dict)
    """Destination id → attempts that went for age or size."""
    totals: dict[int, dict[str, int]] = field(default_factory=dict)
    """Destination id → counter → count since it was made, when the file was opened in this turn."""
    failure: str = ""
    """Why nothing is written; empty if it is."""
    is_last: bool = False
    """The file is closed."""
    elapsed_s: float = 0.0


class Writer:
    """Owner of the thread, and through it of the store."""

    def __init__(
        self,
        path: Path,
        *,
        bounds: Bounds,
        clock: Clock,
        done: Callable[[Done], None],
    ) -> None:
        """`done` is called in the writer's thread, once for each turn."""
        self._path = path
        self._bounds = bounds
        self._clock = clock
        self._done = done
        self._turns: queue.SimpleQueue[Turn] = queue.SimpleQueue()
        self._store: Store | None = None
        self._failure = ""
        self._unwritten: dict[tuple[int, int], Counts] = {}
        self._is_counted = False
        """The totals of the file were told."""
        self._forgetting: list[int] = []
        self._housekeeping: Iterator[list[int]] = iter(())
        self._housekeeping_at = 0.0
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)
        self._thread.start()

    def put(self, turn: Turn) -> None:
        """From any thread."""
        self._turns.put(turn)

    # --- The thread

    def _run(self) -> None:
        done = Done()
        while not done.is_last:
            turn = self._turns.get()
            begun = time.perf_counter()
            done = Done(is_last=turn.is_last)
            try:
                self._turn(turn, done)
            except Exception as error:  # noqa: BLE001  the thread must outlive every fault
                self._fail(turn, done, error)
            done.failure = self._failure
            if done.is_last and self._store is not None:
                self._store.close()
            done.elapsed_s = time.perf_counter() - begun
            self._done(done)

    def _turn(self, turn: Turn, done: Done) -> None:
        self._add_unwritten(turn.counters)
        self._forgetting += turn.forgotten
        store = self._store or self._open(done)
        try:
            self._keep_house(store, done)
            if self._unwritten or turn.attempts:
                store.write(self._unwritten.values(), turn.attempts)
        except TRANSIENT as error:
            self._drop(turn, done, error)  # what is in the file can be read all the same
        else:
            self._unwritten.clear()
            turn.attempts.clear()
            if self._failure:
                log.info("records_written_again", path=str(self._path))
                self._failure = ""
        done.answers = [(read.future, read.read(store), None) for read in turn.reads]

    def _open(self, done: Done) -> Store:
        store = Store(self._path, size_max_mib=self._bounds.size_max_mib)
        if not self._is_counted:
            try:
                done.totals = store.totals()
            except BaseException:
                store.close()
                raise
        self._is_counted = True
        self._store = store
        return store

    def _add_unwritten(self, counters: Iterable[Counts]) -> None:
        for counts in counters:
            self._merge(counts)
        if len(self._unwritten) > UNWRITTEN_MAX:
            newest_s = max(minute_s for _, minute_s in self._unwritten)
            held, self._unwritten = self._unwritten, {}
            for counts in held.values():
                self._merge(counts._replace(minute_s=newest_s))

    def _merge(self, counts: Counts) -> None:
        held = self._unwritten.setdefault(counts[:2], counts)
        if held is counts:
            return
        for name, each in counts.by_name.items():
            into = held.by_name.setdefault(name, Count())
            into.count += each.count
            histogram.merge(into.histogram, each.histogram)

    def _keep_house(self, store: Store, done: Done) -> None:
        """Delete what is forgotten, too old or too much, for a while; what is left is for the next turn."""
        until = time.perf_counter() + HOUSEKEEPING_S_MAX
        now = self._clock.monotonic()
        is_due = now >= self._housekeeping_at
        if is_due or self._forgetting or retention.is_over(store, self._bounds):
            self._housekeeping = retention.steps(store, self._bounds, self._clock.now_ms(), self._forgetting)
            self._housekeeping_at = now + HOUSEKEEPING_EVERY_S if is_due else self._housekeeping_at
        for gone in self._housekeeping:
            for destination_id in gone:
                done.pruned[destination_id] = done.pruned.get(destination_id, 0) + 1
            if time.perf_counter() > until:
                return

    def _drop(self, turn: Turn, done: Done, error: Exception) -> None:
        """Nothing could be written: counters wait, attempts are counted and gone."""
        if not self._failure:
            log.error("records_not_written", path=str(self._path), error=str(error))
        self._failure = str(error) or type(error).__name__
        for attempt in turn.attempts:
            done.dropped[attempt.destination_id] = done.dropped.get(attempt.destination_id, 0) + 1
        turn.attempts.clear()

    def _fail(self, turn: Turn, done: Done, error: Exception) -> None:
        self._drop(turn, done, error)
        unavailable = Unavailable(
            f"the records {self._path} can't be used: {self._failure}",
            remedy="look at the daemon's log; deliveries go on without them",
        )
        done.answers = [(read.future, None, unavailable) for read in turn.reads]
        if isinstance(error, DAMAGED):
            self._replace(str(error))

    def _replace(self, reason: str) -> None:
        """The file is of no use: begin another with the next turn."""
        self._housekeeping = iter(())
        if self._store is not None:
            self._store.close()
            self._store = None
        try:
            set_aside(self._path, reason)
        except OSError as error:
            log.warning("records_not_set_aside", path=str(self._path), error=str(error))

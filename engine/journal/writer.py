"""The journal's one thread: takes what is queued, writes it as one transaction, then answers everybody at once.

    requests ─► queue ─► take all ─► one transaction ─► answers (one wake-up of the event loop)
                                  └► reads, in the order they were asked, after the commit ─► answers

What arrives during a commit is the next transaction, so that a lone request costs one fsync and a flood shares it. It waits
for company only where `commit_wait_us` says so, or if it has nothing but outcomes, and never with somebody who reads. While the disk is full appends are refused at once; what ended is held, and tried again
with each request and each second.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

import apsw
import structlog

from engine.errors import JournalFull, Unavailable
from engine.journal.admitting import admit
from engine.journal.pruning import PRUNE_EVERY_S, Pruning
from engine.journal.requests import Append, Change, Close, Discard, Read, Release, Settle
from engine.journal.rows import Writes
from engine.journal.store import BROKEN, TRANSIENT
from engine.metrics import Buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.clock import Clock
    from engine.journal.dedupe.index import DedupeIndex
    from engine.journal.inventory import Inventory
    from engine.journal.requests import Answer, Request
    from engine.journal.store import Store

log = structlog.get_logger()

COMMIT_BYTES_MAX: Final = 4 << 20
"""A transaction is closed when it has so much, so that a flood doesn't stretch everybody's wait, nor the WAL."""
COMMIT_REQUESTS_MAX: Final = 4096
SETTLE_WAIT_S: Final = 0.002
"""Outcomes alone wait for events to share a commit with: nobody waits for them, and events that come meanwhile would wait for their fsync."""
COMMIT_BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
COMMIT_BOUNDS_BYTES: Final = (1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20)
RETRY_AFTER_S: Final = 1.0
RESTORE_PAUSE_S: Final = 0.001
"""Between the steps after a start, so that they leave the interpreter to others."""


class Terms(NamedTuple):
    """What the operator says of a journal."""

    shelf_age_max_ms: int
    shelf_bytes_max: int
    commit_wait_us: int
    """How long a transaction waits for more before it is written."""


class Writer:
    """Owner of the thread, and through it of the store and the inventory."""

    def __init__(
        self,
        store: Store,
        inventory: Inventory,
        ids: DedupeIndex,
        *,
        clock: Clock,
        answer: Callable[[list[Answer]], None],
        terms: Terms,
    ) -> None:
        """`answer` is called in the writer's thread."""
        self._store = store
        self._inventory = inventory
        self._ids = ids
        self._clock = clock
        self._answer = answer
        self._commit_wait_s = terms.commit_wait_us / 1e6
        self._queue: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._held: list[Settle] = []
        self._discards: list[Discard] = []
        self._pruning = Pruning(
            store, inventory, clock=clock, age_max_ms=terms.shelf_age_max_ms, bytes_max=terms.shelf_bytes_max
        )
        self.full_because = store.restore_reserve()
        """Why appends are refused; empty if they aren't."""
        self.is_holding = False
        """Settles wait for the disk."""
        self.broken_because = ""
        """Why nothing is written any more, until a start; empty while it is."""
        self.commits = 0
        self.commit_s = Buckets(COMMIT_BOUNDS_S)
        self.commit_bytes = Buckets(COMMIT_BOUNDS_BYTES)
        self.appended = 0
        self.settled = 0
        self.duplicates = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, request: Request) -> None:
        """From any thread."""
        self._queue.put(request)

    def join(self) -> None:
        """Wait for the thread's end, after `Close` was answered."""
        self._thread.join()

    # --- The thread

    def _run(self) -> None:
        close: Close | None = None
        while close is None:
            batch = self._take()
            close = next((request for request in batch if isinstance(request, Close)), None)
            try:
                self._turn(batch)
            except Exception as error:  # noqa: BLE001 - the thread must outlive every fault; each caller hears of it
                self._give_up(batch, error)
        try:
            self._end()
            self._answer([(close.future, None, None)])
        except Exception as error:  # noqa: BLE001 - as above
            self._answer([(close.future, None, _failure(self._store, error))])

    def _take(self) -> list[Request]:
        """All that is queued, up to a transaction's worth; empty after a pause that housekeeping asked for."""
        batch: list[Request] = []
        size, wait_s = 0, SETTLE_WAIT_S
        with contextlib.suppress(queue.Empty):
            batch.append(self._queue.get(timeout=self._pause_s()))
            begun = self._clock.monotonic()
            while len(batch) < COMMIT_REQUESTS_MAX:
                last, left_s = batch[-1], 0.0
                if not isinstance(last, Settle | Release):
                    wait_s = self._commit_wait_s  # somebody waits for its answer
                if isinstance(last, Append | Settle):
                    size += last.writes.size_bytes
                    if size >= COMMIT_BYTES_MAX:
                        break
                    left_s = begun + wait_s - self._clock.monotonic()
                batch.append(self._queue.get(block=left_s > 0, timeout=max(0.0, left_s)))
        return batch

    def _pause_s(self) -> float:
        if self._held or self.full_because:
            return RETRY_AFTER_S
        if self._discards or self._pruning.is_behind or self._ids.is_sweeping:
            return 0.0
        if not self._ids.is_restored:
            return RESTORE_PAUSE_S
        return PRUNE_EVERY_S

    def _turn(self, batch: list[Request]) -> None:
        appends = [request for request in batch if isinstance(request, Append)]
        settles = [request for request in batch if isinstance(request, Settle)]
        if appends or settles or self._held or self.full_because:
            self._write(appends, self._held + settles)
        self._read(batch)
        self._discards += [request for request in batch if isinstance(request, Discard)]
        if not self.broken_because:
            self._discard_some()
            self._pruning.step()
            self._tidy_ids()

    def _write(self, appends: list[Append], settles: list[Settle]) -> None:
        if self.broken_because:
            lost = _failure(self._store, RuntimeError(self.broken_because))
            self._answer([(append.future, None, lost) for append in appends])
            self._answer([(settle.future, None, lost) for settle in settles])
            return
        if self.full_because:
            self._recover(settles)
            settles = []
        if self.full_because:
            self._refuse(appends)
            return
        if not appends and not settles:
            return
        try:
            self._commit([*appends, *settles])
        except TRANSIENT as error:
            self._fill(error)
            self._refuse(appends)
            self._recover(settles)

    def _fill(self, error: Exception) -> None:
        """The first failure: from now on nothing is taken, and the reserve is for what ends."""
        self.full_because = _text(error)
        log.error("journal_write_failed", path=str(self._store.path), error=self.full_because)
        self._store.free_reserve()

    def _recover(self, settles: list[Settle]) -> None:
        """Write what ended; when nothing is held, and the reserve is there again, appends are taken again."""
        self._held = settles
        try:
            if settles:
                self._commit(settles, before_answering=self._hold_nothing)
        except TRANSIENT as error:
            self.full_because = _text(error)
            if not self.is_holding:
                log.warning("journal_settles_held", path=str(self._store.path), error=self.full_because)
            self.is_holding = True
            return
        self._hold_nothing()
        reason = self._store.restore_reserve()
        if not reason:
            log.info("journal_writable_again", path=str(self._store.path))
        self.full_because = reason

    def _hold_nothing(self) -> None:
        self._held = []
        self.is_holding = False

    def _commit(
        self, requests: Sequence[Append | Settle], before_answering: Callable[[], None] | None = None
    ) -> None:
        now_s = self._clock.now_ms() // 1000
        try:
            duplicates = sum(admit(self._ids, r, now_s) for r in requests if isinstance(r, Append))
            writes = requests[0].writes if len(requests) == 1 else Writes.join(r.writes for r in requests)
            begun = self._clock.monotonic()
            self._store.commit(
                writes, self._inventory.partial, also=lambda: self._before_disk(requests, now_s)
            )
            self.commit_s.add(self._clock.monotonic() - begun)
        except BaseException:
            self._ids.forget()
            raise
        self._ids.keep(now_s)
        self._inventory.apply(writes)
        self.commits += 1
        self.commit_bytes.add(writes.size_bytes)
        self.duplicates += duplicates
        self.appended += sum(row.deliveries for row in writes.fresh)
        self.appended -= sum(count for _, count in writes.duplicates)
        self.settled += sum(count for _, count in writes.settled)
        self._pruning.shelved += len(writes.shelved) + len(writes.overflowed)
        if before_answering:
            before_answering()
        self._answer([(r.future, r.leases if isinstance(r, Append) else None, None) for r in requests])

    def _before_disk(self, requests: Sequence[Append | Settle], now_s: int) -> None:
        self._ids.write(now_s)
        for request in requests:
            if not isinstance(request, Append) or request.writing is None:
                continue
            if any(lease.remaining for lease in request.leases):
                request.writing()

    def _refuse(self, appends: list[Append]) -> None:
        if appends:
            self._answer(
                [(request.future, None, _full(self._store, self.full_because)) for request in appends]
            )

    # --- Reads

    def _read(self, batch: list[Request]) -> None:
        answers: list[Answer] = []
        for request in batch:
            if isinstance(request, Release):
                for lease in request.leases:
                    self._inventory.unlease(lease.chunk.destination_id, lease.id, lease.chunk.due_ms)
            elif isinstance(request, Read):
                answers.append(self._read_one(request))
            elif isinstance(request, Change):
                answers.append(self._change(request))
        if answers:
            self._answer(answers)

    def _read_one(self, request: Read) -> Answer:
        if self._held and request.while_held is not None:
            return request.future, request.while_held, None
        try:
            return request.future, request.read(), None
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            return request.future, None, _failure(self._store, error)

    def _change(self, request: Change) -> Answer:
        if not self.full_because:
            try:
                return request.future, request.change(), None
            except TRANSIENT as error:
                self._fill(error)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                self._judge(error)
                return request.future, None, _failure(self._store, error)
        return request.future, None, _full(self._store, self.full_because)

    # --- Housekeeping: a little after each turn, so that it delays nobody

    def _discard_some(self) -> None:
        if not self._discards or self._held:
            return
        request = self._discards[0]
        if request.deliveries < 0:
            request.deliveries = self._inventory.of(request.destination_id).deliveries
        try:
            deleted = self._store.discard_some(request.destination_id)
        except TRANSIENT as error:
            if not self.full_because:
                self._fill(error)
            return
        if deleted is not None:
            chunk_ids, shelf_bytes = deleted
            for chunk_id in chunk_ids:
                self._inventory.forget_chunk(request.destination_id, chunk_id)
            self._inventory.shelf_bytes -= shelf_bytes
            return
        self._discards.pop(0)
        self._inventory.forget_destination(request.destination_id)
        self._answer([(request.future, request.deliveries, None)])

    def _tidy_ids(self) -> None:
        if self.full_because:
            return
        try:
            self._ids.tidy(self._clock.now_ms() // 1000)
        except TRANSIENT as error:
            self._fill(error)

    # --- Ends

    def _end(self) -> None:
        while self._discards and not (self.full_because or self.broken_because):
            self._discard_some()
        lost = _failure(self._store, RuntimeError("it was closed before this could be written"))
        unwritten = [request.future for request in self._held]
        unwritten += [request.future for request in self._discards]
        self._answer([(future, None, lost) for future in unwritten])
        with contextlib.suppress(*TRANSIENT, *BROKEN):
            self._ids.close()
        self._store.close()

    def _give_up(self, batch: list[Request], error: Exception) -> None:
        """A fault that no second try mends: whoever asked is told; what was leased is leased again after a start."""
        log.error("journal_fault", path=str(self._store.path), error=repr(error))
        self._judge(error)
        failure = _failure(self._store, error)
        failed = [request.future for request in batch if isinstance(request, Append | Settle | Read | Change)]
        failed += [request.future for request in self._held]
        self._answer([(future, None, failure) for future in failed])
        self._hold_nothing()

    def _judge(self, error: Exception) -> None:
        """A file that is broken is written no more: it would only break further, and hold what nobody can read."""
        if isinstance(error, BROKEN):
            self.broken_because = _text(error)


def _full(store: Store, reason: str) -> JournalFull:
    return JournalFull(
        f"the journal {store.path} can't take new events: {reason}",
        remedy="free space on its file system, or raise its limit; what was accepted is kept and goes on",
    )


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _failure(store: Store, error: BaseException) -> BaseException:
    if isinstance(error, apsw.Error | RuntimeError):
        return Unavailable(
            f"the journal {store.path} failed: {error}",
            remedy="look at the daemon's log; what was accepted is kept",
        )
    return error

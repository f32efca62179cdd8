"""The journal on one SQLite file: the contract's methods, for callers on the event loop.

Everything that can be refused is refused here, before it is queued, so that a transaction fails only for the
machine's sake. What is stored and counted is the writer's: `writer.py` runs the thread, `store.py` has the SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from engine.errors import Unavailable
from engine.journal import appending, looking, settling
from engine.journal.contract import (
    EVERYTHING,
    SHELF_STATES,
    STATES,
    Delivery,
    DestinationDepth,
    JournalStats,
    Page,
    ReplayStep,
    Retrying,
)
from engine.journal.dedupe.index import DedupeIndex
from engine.journal.leasing import first_due_ms, lease_chunks
from engine.journal.looking import Query
from engine.journal.replaying import replay_some
from engine.journal.requests import Append, Change, Close, Discard, Read, Release, Settle
from engine.journal.store import Store
from engine.journal.writer import Terms, Writer
from engine.model import Lease

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from engine.clock import Clock
    from engine.journal.contract import Claim, Cursor, DeliveryId, Filter, SharedClaim
    from engine.journal.inventory import Inventory
    from engine.journal.requests import Answer, Request
    from engine.model import Chunk, Part

log = structlog.get_logger()

SHELF_AGE_MAX_MS: Final = 7 * 24 * 3600 * 1000
SHELF_BYTES_MAX: Final = 1 << 30
DEDUPE_WINDOW_S: Final = 24 * 3600
DEDUPE_BYTES_MAX: Final = 1 << 30
RESERVE_BYTES: Final = 8 << 20


class SqliteJournal:
    """Owner of a journal's file, its thread, and the leases it gave out. See `contract.Journal` for the methods."""

    def __init__(
        self,
        store: Store,
        ids: DedupeIndex,
        *,
        clock: Clock,
        terms: Terms,
    ) -> None:
        self._store = store
        self._clock = clock
        self._inventory: Inventory = store.count()
        self._ids = itertools.count(store.last_chunk_id() + 1)
        self._held: dict[int, Lease] = {}
        """Leases that were given out and not ended, by chunk id."""
        self._released: list[Lease] = []
        """On their way to the writer, with the next request."""
        self._discarded: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._writer = Writer(
            store,
            self._inventory,
            ids,
            clock=clock,
            answer=self._answer,
            terms=terms,
        )

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        clock: Clock,
        size_max_mib: int | None = None,
        shelf_age_max_ms: int = SHELF_AGE_MAX_MS,
        shelf_bytes_max: int = SHELF_BYTES_MAX,
        dedupe_window_s: int = DEDUPE_WINDOW_S,
        dedupe_bytes_max: int = DEDUPE_BYTES_MAX,
        reserve_bytes: int = RESERVE_BYTES,
        commit_wait_us: int = 0,
    ) -> Self:
        """Open the journal at `path`, or make it. Blocks: ten million stored events take about a second.

        Args:
            path: The file; beside it stand its WAL and `PATH-reserve`.
            clock: For the times of what is shelved and pruned.
            size_max_mib: Refuse appends beyond; None is no limit but the disk's.
            shelf_age_max_ms: What is longer on the shelf is deleted.
            shelf_bytes_max: The oldest are deleted when the shelf holds more.
            dedupe_window_s: For how long a message id is known.
            dedupe_bytes_max: About what known ids take on disk; a 32nd of it is taken of memory.
            reserve_bytes: Kept free for writing what ends when the disk is full.
            commit_wait_us: How long a transaction waits for more before it is written.

        Raises:
            ConfigurationError: The file can't be opened, isn't a journal, or was written by a newer engine.
            Unavailable: Another process has it open.
        """
        store = Store(Path(path), size_max_mib=size_max_mib, reserve_bytes=reserve_bytes)
        ids = DedupeIndex(store, window_s=dedupe_window_s, bytes_max=dedupe_bytes_max)
        return cls(store, ids, clock=clock, terms=Terms(shelf_age_max_ms, shelf_bytes_max, commit_wait_us))

    # --- To the writer and back

    def _request(self, make: Callable[[asyncio.Future[Any]], Request]) -> asyncio.Future[Any]:
        if self._is_closed:
            raise Unavailable(
                "the journal is closed", remedy="the daemon is stopping: try again when it is back"
            )
        self._loop = asyncio.get_running_loop()
        if self._released:
            self._writer.put(Release(self._released))
            self._released = []
        future: asyncio.Future[Any] = self._loop.create_future()
        self._writer.put(make(future))
        return future

    def _answer(self, answers: list[Answer]) -> None:
        """In the writer's thread: one wake-up of the loop for all of them."""
        self._call_soon(partial(self._deliver, answers))

    def _call_soon(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call)

    def _deliver(self, answers: list[Answer]) -> None:
        for future, result, error in answers:
            leases = result if isinstance(result, list) and result and isinstance(result[0], Lease) else ()
            for lease in leases:
                if lease.remaining:
                    self._held[lease.id] = lease
            if future.done():  # the caller was cancelled
                self.release(leases)
            elif error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    async def _leases(self, future: asyncio.Future[list[Lease]]) -> list[Lease]:
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:
                self.release(future.result())  # the answer and the cancellation crossed
            raise

    # --- The contract

    @property
    def is_writable(self) -> bool:
        """False while what ended waits for the disk, and once the file is broken; nothing is leased then.

        A full disk on which settles still go through (the reserve is for them) refuses appends alone: what is
        stored goes on being delivered, and makes room.
        """
        return not self._writer.is_holding and not self._writer.broken_because

    async def append(
        self,
        chunks: Sequence[Chunk],
        *,
        claims: Sequence[Claim | SharedClaim] = (),
        overflowed: Sequence[Chunk] = (),
        writing: Callable[[], None] | None = None,
    ) -> list[Lease]:
        """See the contract. `ValueError` for a chunk without events, with too many, or of a discarded destination.

        A fresh chunk never gets a due time before that of one appended earlier, though wall time may jump back:
        the chunk in the lease has the due time that was stored.
        """
        if not chunks and not overflowed:
            return []
        appending.check(chunks, claims, overflowed)
        for chunk in (*chunks, *overflowed):
            if chunk.destination_id in self._discarded:
                raise ValueError(f"destination {chunk.destination_id} was discarded")
        ordered = [
            (chunk, True) if appending.waits(chunk) else (self._in_order(chunk), False) for chunk in chunks
        ]
        writes, leases = appending.write(
            ordered, overflowed, next_id=lambda: next(self._ids), now_ms=self._clock.now_ms()
        )
        tell = partial(self._call_soon, writing) if writing is not None else None
        return await self._leases(self._request(lambda future: Append(future, writes, leases, claims, tell)))

    def _in_order(self, chunk: Chunk) -> Chunk:
        if chunk.due_ms < self._inventory.fresh_due_ms:
            return replace(chunk, due_ms=self._inventory.fresh_due_ms)
        self._inventory.fresh_due_ms = chunk.due_ms
        return chunk

    def release(self, leases: Sequence[Lease]) -> None:
        """See the contract. Clears the bits of `remaining`: the lease is over. What isn't leased is ignored."""
        for lease in leases:
            if self._held.get(lease.id) is lease:
                del self._held[lease.id]
                lease.remaining = 0
                self._released.append(lease)

    async def lease(
        self, destination_id: int, now_ms: int, *, chunks_max: int, bytes_max: int
    ) -> list[Lease]:
        """See the contract. Nothing while `is_writable` is False."""
        if destination_id in self._discarded:
            return []

        def read() -> list[Lease]:
            return lease_chunks(
                self._store,
                self._inventory,
                destination_id,
                now_ms,
                chunks_max=chunks_max,
                bytes_max=bytes_max,
            )

        return await self._leases(self._request(lambda future: Read(future, read, while_held=[])))

    async def settle(self, settlements: Sequence[tuple[Lease, Sequence[Part]]]) -> None:
        """See the contract. The bits are cleared at once; leases of a discarded destination are passed over."""
        current = [
            (lease, parts)
            for lease, parts in settlements
            if lease.chunk.destination_id not in self._discarded
        ]
        checked = settling.check(current, is_held=lambda lease: self._held.get(lease.id) is lease)
        if not any(ended for _, ended in checked):
            return
        writes = settling.write(checked, next_id=lambda: next(self._ids), now_ms=self._clock.now_ms())
        for lease, _ in checked:
            if not lease.remaining:
                del self._held[lease.id]
        # Written even if the caller is cancelled while it waits: what ended has ended.
        await self._request(lambda future: Settle(future, writes))

    async def next_due(self, destination_id: int | None = None) -> dict[int, int]:
        """See the contract. A destination that has nothing to lease, now or later, is absent."""

        def read() -> dict[int, int]:
            known = self._inventory.destinations
            asked = list(known) if destination_id is None else [destination_id]
            now_ms = self._clock.now_ms()
            dues = {
                of: first_due_ms(self._store, self._inventory, of, known[of], now_ms)
                for of in asked
                if of in known and of not in self._discarded
            }
            return {of: due_ms for of, due_ms in dues.items() if due_ms is not None}

        due: dict[int, int] = await self._request(lambda future: Read(future, read, while_held={}))
        return due

    async def find(self, destination_id: int, delivery: DeliveryId) -> Delivery | None:
        """See the contract."""

        def read() -> Delivery | None:
            return looking.find(self._store, self._inventory, destination_id, delivery)

        found: Delivery | None = await self._request(lambda future: Read(future, read))
        return found

    async def deliveries(
        self,
        destination_id: int,
        state: str,
        where: Filter = EVERYTHING,
        *,
        limit: int = 100,
        cursor: Cursor | None = None,
    ) -> Page:
        """See the contract. `ValueError` for an unknown state or a limit below 1."""
        _check_query(state, STATES, limit)

        query = Query(destination_id, state, where, limit, cursor)

        def read() -> Page:
            return looking.page(self._store, self._inventory, query)

        found: Page = await self._request(lambda future: Read(future, read))
        return found

    async def replay(
        self,
        destination_id: int,
        state: str = "shelved",
        where: Filter = EVERYTHING,
        *,
        limit: int = 1_000,
        cursor: Cursor | None = None,
        dry_run: bool = False,
    ) -> ReplayStep:
        """See the contract. `ValueError` for a state that isn't of the shelf, or a limit below 1."""
        _check_query(state, SHELF_STATES, limit)
        if destination_id in self._discarded:
            return ReplayStep(0, None)
        query = Query(destination_id, state, where, limit, cursor)
        now_ms = self._clock.now_ms()
        due_ms = max(now_ms, self._inventory.fresh_due_ms)  # behind what was accepted before
        if not dry_run:
            self._inventory.fresh_due_ms = due_ms

        def change() -> ReplayStep:
            return replay_some(
                self._store,
                self._inventory,
                query,
                is_dry=dry_run,
                now_ms=now_ms,
                due_ms=due_ms,
                next_id=lambda: next(self._ids),
            )

        step: ReplayStep = await self._request(
            lambda future: Read(future, change) if dry_run else Change(future, change)
        )
        return step

    async def discard(self, destination_id: int) -> int:
        """See the contract; the number is of the deliveries that were still stored, without the shelf.

        Deletes in small transactions, so that others aren't delayed; one that is interrupted by a crash is
        continued by discarding again.
        """
        self._discarded.add(destination_id)
        for lease in [held for held in self._held.values() if held.chunk.destination_id == destination_id]:
            del self._held[lease.id]
            lease.remaining = 0
        count: int = await self._request(lambda future: Discard(future, destination_id))
        return count

    async def retrying(self, destination_id: int) -> Retrying | None:
        """See the contract."""
        found: Retrying | None = await self._request(
            lambda future: Read(future, lambda: looking.retrying(self._store, destination_id))
        )
        return found

    async def depth(self, destination_id: int) -> DestinationDepth:
        """See the contract. Doesn't wait for the disk."""
        return self._inventory.depth(destination_id)

    async def stats(self) -> JournalStats:
        """See the contract. Doesn't wait for the disk, nor for what is being written."""
        writer = self._writer
        return JournalStats(
            destinations=tuple(map(self._inventory.depth, tuple(self._inventory.destinations))),
            file_bytes=self._store.file_bytes(),
            commits=writer.commits,
            appended=writer.appended,
            settled=writer.settled,
            duplicates=writer.duplicates,
            writable=not (writer.full_because or writer.is_holding or writer.broken_because),
            commit_s=writer.commit_s,
            commit_bytes=writer.commit_bytes,
        )

    async def close(self) -> None:
        """See the contract. What is still held for a full disk fails with `Unavailable`. Again: does nothing."""
        if self._is_closed:
            return
        closed = self._request(Close)
        self._is_closed = True
        await closed
        self._writer.join()


def _check_query(state: str, states: tuple[str, ...], limit: int) -> None:
    if state not in states or limit < 1:
        raise ValueError(f"state {state!r} of {', '.join(states)}, limit {limit}")

"""What happened, at every destination: counted on the event loop, written by a thread, read through the same thread.

    dispatcher ─► Record.count ─► open ──(each second)──► Turn ─► writer ─► records.db
                  Record.add ───► pending, followers ────┘
    health, show, logs ─► read: what is pending is written first, so that a reader sees all that came before

At most one turn is with the writer. Meanwhile counters add up, and attempts wait up to a number of bytes; what comes
beyond is dropped and counted: attempts may be lost, counters not. After a turn the writer rests three times as long,
so that a storm of failures costs deliveries no more than a quarter of a core.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from engine.errors import Unavailable
from engine.records import spans
from engine.records.attempts import UNKEPT_CODES, Attempt, as_map
from engine.records.followers import FOLLOWERS_MAX, Follower
from engine.records.record import Counts, Record
from engine.records.store import AttemptFilter, Store
from engine.records.writer import Done, Read, Turn, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from engine.clock import Clock
    from engine.records.retention import Bounds
    from engine.records.spans import Window

log = structlog.get_logger()
T = TypeVar("T")

FLUSH_EVERY_S: Final = 1.0
PENDING_BYTES_MAX: Final = 16 << 20
"""Of attempts that wait to be written; one destination may have a quarter."""
HAND_OVER_BYTES: Final = 1 << 20
"""So much isn't left waiting for the second to end."""
REST: Final = 3
SEALED_MAX: Final = 10_000
"""(destination, minute) pairs of counters that wait while the writer hangs; beyond it minutes run together."""
READ_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0
PAGE_ATTEMPTS: Final = 50
"""Attempts that are in memory at once while they are read."""


class Records:
    """Owner of the writer, and of every destination's `Record`."""

    def __init__(self, path: Path, *, bounds: Bounds, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = clock
        self._loop = loop
        self._records: dict[int, Record] = {}
        self._dirty: list[Record] = []
        self._sealed: list[Counts] = []
        self._minute_s = self._minute()
        self._attempts: list[Attempt] = []
        self._attempts_bytes = 0
        self._bytes_of: dict[int, int] = {}
        self._forgotten: list[int] = []
        self._reads: list[Read] = []
        self._followers: dict[int, list[Follower]] = {}
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._rest_until = 0.0
        self._is_closing = False
        self.failure = ""
        """Why nothing is written; empty if it is."""
        self._closed: asyncio.Future[None] = loop.create_future()
        self._writer = Writer(path, bounds=bounds, clock=clock, done=self._from_writer)
        self._timer: asyncio.TimerHandle | None = None

    def _minute(self) -> int:
        return spans.start_of(spans.MINUTE, self._clock.now_ms() // 1000)

    # --- What is told

    def of(self, destination_id: int) -> Record:
        """The record of a destination; made if there is none."""
        record = self._records.get(destination_id)
        if record is None:
            record = Record(destination_id, became_dirty=self._became_dirty, keep=self._keep)
            self._records[destination_id] = record
        return record

    async def start(self) -> None:
        """Open the file, and go on counting from what it holds; forget destinations that nobody asked for by `of`.

        A file that can't be used stops nothing: it is set aside, or tried again with every turn. Nothing is written before,
        so that what the file holds is added to records that are there.
        """
        self._timer = self._loop.call_later(FLUSH_EVERY_S, self._tick)
        try:
            known = await self._read(Store.destination_ids)
        except Unavailable:
            return  # the writer has said why
        self._forgotten += [each for each in known if each not in self._records]

    def forget(self, destination_id: int) -> None:
        """The destination is gone: so is what is kept of it."""
        self._records.pop(destination_id, None)
        self._attempts = [each for each in self._attempts if each.destination_id != destination_id]
        self._forgotten.append(destination_id)
        for follower in self._followers.get(destination_id, ()):
            follower.end()

    def _became_dirty(self, record: Record) -> None:
        if not self._dirty:
            self._minute_s = self._minute()
        self._dirty.append(record)

    def _keep(self, record: Record, attempt: Attempt) -> None:
        if self._records.get(record.destination_id) is not record:
            return  # what still ran of a destination that is gone
        for follower in self._followers.get(record.destination_id, ()):
            follower.offer(attempt)
        if attempt.code in UNKEPT_CODES:
            return
        size = attempt.bytes
        of_destination = self._bytes_of.get(record.destination_id, 0) + size
        if self._attempts_bytes + size > PENDING_BYTES_MAX or of_destination > PENDING_BYTES_MAX // 4:
            record.count(spans.ATTEMPTS_DROPPED, 1)
            return
        self._attempts.append(attempt)
        self._attempts_bytes += size
        self._bytes_of[record.destination_id] = of_destination
        if self._attempts_bytes > HAND_OVER_BYTES:
            self._hand_over_rested()

    # --- Turns

    def _tick(self) -> None:
        self._timer = self._loop.call_later(FLUSH_EVERY_S, self._tick)
        self._hand_over_rested()
        if self._minute() != self._minute_s and len(self._sealed) < SEALED_MAX:
            self._seal()  # the writer hangs: at least minutes stay apart

    def _hand_over_rested(self) -> None:
        if self._clock.monotonic() >= self._rest_until:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the writer all there is, unless it still has something."""
        if self._is_free.is_set() and not self._is_closing:
            self._put(Turn())

    def _put(self, turn: Turn) -> None:
        self._seal()
        turn.counters, self._sealed = self._sealed, []
        turn.attempts, self._attempts = self._attempts, []
        self._attempts_bytes = 0
        self._bytes_of.clear()
        turn.forgotten, self._forgotten = self._forgotten, []
        turn.reads, self._reads = self._reads, []
        self._is_free.clear()
        self._writer.put(turn)

    def _seal(self) -> None:
        """Close what was counted since the last time: it belongs to the minute that was then."""
        for record in self._dirty:
            if self._records.get(record.destination_id) is record:
                self._sealed.append(Counts(record.destination_id, self._minute_s, record.take()))
        self._dirty.clear()
        self._minute_s = self._minute()

    def _from_writer(self, done: Done) -> None:
        """In the writer's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._take, done)

    def _take(self, done: Done) -> None:
        self._rest_until = self._clock.monotonic() + REST * done.elapsed_s
        self.failure = done.failure
        self._add_known(done)
        for future, value, error in done.answers:
            if not future.done():
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
        self._is_free.set()
        if done.is_last:
            self._closed.set_result(None)
        elif self._reads:
            self._hand_over()

    def _add_known(self, done: Done) -> None:
        """What the writer knows better: counts of before the start, and attempts that are not kept."""
        for destination_id, totals in done.totals.items():
            if (record := self._records.get(destination_id)) is not None:
                for name, count in totals.items():
                    record.totals[name] = record.totals.get(name, 0) + count
        for name, counts in ((spans.ATTEMPTS_DROPPED, done.dropped), (spans.ATTEMPTS_PRUNED, done.pruned)):
            for destination_id, count in counts.items():
                if (record := self._records.get(destination_id)) is not None:
                    record.count(name, count)

    async def close(self) -> None:
        """Write what is pending and close the file. A disk that hangs is left behind after some seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_closing = True
        self._put(Turn(is_last=True))
        await asyncio.wait([self._closed], timeout=CLOSE_TIMEOUT_S)
        if not self._closed.done():
            log.error("records_not_closed", waited_s=CLOSE_TIMEOUT_S)

    # --- Reading

    async def _read(self, read: Callable[[Store], T]) -> T:
        """Answered by the writer, after it has written what is pending. Raises `Unavailable`."""
        if self._is_closing:
            raise Unavailable("the daemon is stopping", remedy="ask again when it runs")
        future: asyncio.Future[T] = self._loop.create_future()
        self._reads.append(Read(future, read))
        self._hand_over()
        try:
            # Not `wait_for`, which before 3.12 forgets a cancellation that comes together with the answer.
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await future
        except TimeoutError:
            raise Unavailable(
                f"the records did not answer within {READ_TIMEOUT_S:g} s",
                remedy="look at the disk of the data directory; deliveries go on without records",
            ) from None

    async def windows(
        self, destination_ids: Sequence[int], names: Sequence[str]
    ) -> dict[int, dict[str, Window]]:
        """Those of `spans.WINDOWS` that are named, up to now, of each destination. Raises `Unavailable`."""
        now_s = self._clock.now_ms() / 1000
        return await self._read(
            lambda store: {each: store.windows(each, names, now_s) for each in destination_ids}
        )

    async def today(self, destination_id: int) -> dict[str, int]:
        """Counter → count since midnight, UTC. Raises `Unavailable`."""
        start_s = spans.start_of(spans.DAY, self._clock.now_ms() // 1000)
        return dict(await self._read(lambda store: store.counts(destination_id, spans.DAY, start_s)))

    async def attempts_of(self, destination_id: int, delivery: str) -> list[dict[str, Any]]:
        """What is kept of one delivery's attempts, oldest first. Raises `Unavailable`."""
        attempts = await self._read(lambda store: store.attempts_of(destination_id, delivery))
        return [as_map(attempt) for attempt in attempts]

    async def lines(self, wanted: AttemptFilter, *, follow: bool) -> AsyncGenerator[dict[str, Any], None]:
        """Attempts that failed, oldest first; with `follow` then every attempt as it ends. Raises `Unavailable`."""
        while follow and not self._is_free.is_set():
            await self._is_free.wait()
        # What ended until now is written and read as history, what ends from now on is offered: nothing twice.
        follower = self._follow(wanted) if follow else None
        try:
            ids = await self._read(lambda store: store.newest(wanted)) if wanted.limit else []
            for at in range(0, len(ids), PAGE_ATTEMPTS):
                page = ids[at : at + PAGE_ATTEMPTS]
                for attempt in await self._read(partial(Store.attempts, ids=page)):
                    yield as_map(attempt)
            while follower is not None and (taken := await follower.next()) is not None:
                attempt, missed = taken
                yield {**as_map(attempt), "missed": missed} if missed else as_map(attempt)
        finally:
            if follower is not None:
                self._unfollow(wanted.destination_id, follower)

    def _follow(self, wanted: AttemptFilter) -> Follower:
        if sum(map(len, self._followers.values())) >= FOLLOWERS_MAX:
            raise Unavailable(
                f"{FOLLOWERS_MAX} clients follow attempts already", remedy="end one, or ask without --follow"
            )
        follower = Follower(wanted.code)
        self._followers.setdefault(wanted.destination_id, []).append(follower)
        self.of(wanted.destination_id).is_followed = True
        return follower

    def _unfollow(self, destination_id: int, follower: Follower) -> None:
        followers = self._followers.get(destination_id, [])
        if follower in followers:
            followers.remove(follower)
        if not followers:
            self._followers.pop(destination_id, None)
            if (record := self._records.get(destination_id)) is not None:
                record.is_followed = False

    async def stats(self) -> dict[str, Any]:
        """`writable`, `file_bytes`, and how many `attempts` are kept."""
        try:
            stats = await self._read(Store.stats)
        except Unavailable:
            return {"writable": False}
        return {"writable": not self.failure, **stats}

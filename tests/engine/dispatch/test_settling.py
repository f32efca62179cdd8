"""What becomes of failures over hours, restarts and clocks that are set: a real journal, and time that the test moves."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import ManualClock, SteadyClock
from engine.dispatch.backlog import Backlog
from engine.dispatch.lane import Lane, Work
from engine.dispatch.settling import Settler
from engine.dispatch.tasks import Tasks
from engine.events import encode_events
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Destination, FunctionVersion, Limits, Stop
from engine.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

HOUR_MS = 3_600_000
RECORD = Record(1, became_dirty=lambda _record: None, keep=lambda _record, _attempt: None)
VERSION = FunctionVersion(1, 1, "", "f.py", (), b"", "", 0, "", None)


class Bench:
    """A settler on a journal, for one destination; its events fail when the test says so."""

    def __init__(self, path: Path, source: ManualClock) -> None:
        loop = asyncio.get_running_loop()
        self.source = source
        self.clock = SteadyClock(source)
        self.journal = SqliteJournal.open(path, clock=self.clock, reserve_bytes=1 << 16)
        self._tasks = Tasks(loop)
        backlog = Backlog(journal=self.journal, clock=self.clock, loop=loop, tasks=self._tasks)
        backlog.is_closed = True  # the test leases
        self.lane = Lane(Destination(1, "d", "f", VERSION, (), Limits(), 0, 0), RECORD)
        self._settler = Settler(
            lanes={1: self.lane},
            journal=self.journal,
            backlog=backlog,
            tasks=self._tasks,
            clock=self.clock,
            rng=random.Random(1),
            loop=loop,
        )

    async def accept(self, count: int = 1) -> None:
        now_ms = self.clock.now_ms()
        events = encode_events([{"type": "track", "messageId": str(n)} for n in range(count)])
        self.journal.release(await self.journal.append([Chunk(1, events, now_ms, now_ms)]))

    async def due(self) -> list[Work]:
        leases = await self.journal.lease(1, self.clock.now_ms(), chunks_max=100, bytes_max=1 << 20)
        return [Work(self.lane, lease, lease.remaining) for lease in leases]

    async def fail(self, work: Work, *after_ms: int) -> None:
        """Every delivery asks for a retry, after so long each."""
        for place, asked_ms in enumerate(after_ms or (0,) * len(work.lease.chunk)):
            self._settler.ended(work, place, "retry", after_ms=asked_ms, detail=b"", now=0.0)
        await asyncio.sleep(0)
        await self._tasks.finish(10)

    async def next_pause_ms(self) -> int:
        return (await self.journal.next_due(1))[1] - self.clock.now_ms()

    async def dead(self) -> int:
        return (await self.journal.depth(1)).shelved_dead

    async def attempts_until_dead(self) -> int:
        """Fail whenever it is due."""
        attempts = 0
        while not await self.dead():
            for work in await self.due():
                attempts += 1
                await self.fail(work)
            if not await self.dead():
                self.source.advance_ms(max(0, await self.next_pause_ms()))
        return attempts


def on_a_bench(test: Callable[[Bench], Awaitable[None]]) -> Any:
    def run(tmp_path: Path) -> None:
        async def body() -> None:
            bench = Bench(tmp_path / "journal.db", ManualClock())
            try:
                await test(bench)
            finally:
                await bench.journal.close()

        asyncio.run(body())

    run.__name__ = test.__name__
    return run


@on_a_bench
async def test_what_always_fails_is_tried_for_four_hours_and_then_dead(bench: Bench) -> None:
    await bench.accept()
    begun = bench.clock.now_ms()
    attempts = await bench.attempts_until_dead()
    assert 4 * HOUR_MS <= bench.clock.now_ms() - begun <= 4 * HOUR_MS + 1_000
    assert 20 < attempts < 120


@on_a_bench
async def test_siblings_that_ask_for_different_times_do_not_wait_for_each_other(bench: Bench) -> None:
    await bench.accept(3)
    (work,) = await bench.due()
    await bench.fail(work, 0, HOUR_MS, 2 * HOUR_MS)
    assert await bench.next_pause_ms() <= 1_500
    bench.source.advance_ms(1_500)
    assert [len(work.lease.chunk) for work in await bench.due()] == [1]
    bench.source.advance_ms(HOUR_MS)
    assert [len(work.lease.chunk) for work in await bench.due()] == [1]


@on_a_bench
async def test_age_alone_kills_nothing_and_its_next_failure_does(bench: Bench) -> None:
    await bench.accept()
    bench.source.advance_ms(400 * HOUR_MS)
    (work,) = await bench.due()
    assert await bench.dead() == 0
    await bench.fail(work)
    assert await bench.dead() == 1


@on_a_bench
async def test_hours_that_a_person_stopped_the_destination_are_not_counted(bench: Bench) -> None:
    await bench.accept()
    begun = bench.clock.now_ms()
    bench.lane.stops = (Stop("paused", begun, begun + 10 * HOUR_MS),)
    bench.source.advance_ms(10 * HOUR_MS)
    await bench.attempts_until_dead()
    assert bench.clock.now_ms() - begun >= 14 * HOUR_MS


@on_a_bench
async def test_a_clock_set_ahead_makes_nothing_due_and_kills_nothing(bench: Bench) -> None:
    await bench.accept(50)
    (work,) = await bench.due()
    await bench.fail(work)
    bench.source.jump_ms(10 * HOUR_MS)
    assert await bench.due() == []
    bench.source.advance_ms(2_000)
    (work,) = await bench.due()
    await bench.fail(work)
    assert await bench.dead() == 0


@on_a_bench
async def test_a_clock_set_back_delays_nothing(bench: Bench) -> None:
    await bench.accept()
    (work,) = await bench.due()
    await bench.fail(work)
    bench.source.jump_ms(-10 * HOUR_MS)
    bench.source.advance_ms(2_000)
    assert len(await bench.due()) == 1


@pytest.mark.parametrize("restarts", [1, 5])
def test_a_restart_resets_neither_attempts_nor_the_four_hours(tmp_path: Path, restarts: int) -> None:
    async def body() -> None:
        source = ManualClock()
        begun = source.now_ms()
        for attempt in range(1, restarts + 2):
            bench = Bench(tmp_path / "journal.db", source)
            if attempt == 1:
                await bench.accept()
            (work,) = await bench.due()
            assert (work.lease.chunk.attempt, work.lease.chunk.accepted_ms) == (attempt, begun)
            await bench.fail(work)
            source.advance_ms(await bench.next_pause_ms())
            await bench.journal.close()

    asyncio.run(body())

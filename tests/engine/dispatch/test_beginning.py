"""What begins while the disk is at work: nobody hears of it, and nothing is settled, before it is stored. On a real journal."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from engine.clock import ManualClock
from engine.dispatch.backlog import Backlog
from engine.dispatch.lane import Lane, Work
from engine.dispatch.settling import Settler
from engine.dispatch.states import LaneState
from engine.dispatch.tally import Tally
from engine.dispatch.tasks import Tasks
from engine.events import encode_events
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Destination, FunctionVersion, Lease, Limits
from engine.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

RECORD = Record(1, became_dirty=lambda _record: None, keep=lambda _record, _attempt: None)
VERSION = FunctionVersion(1, 1, "", "f.py", (), b"", "", 0, "", None)


class Bench:
    """A backlog and a settler of one destination, whose workers are the test."""

    def __init__(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        self.clock = ManualClock()
        self.journal = SqliteJournal.open(path, clock=self.clock, reserve_bytes=1 << 16)
        self.tasks = Tasks(loop)
        self.backlog = Backlog(journal=self.journal, clock=self.clock, loop=loop, tasks=self.tasks)
        self.lane = Lane(Destination(1, "d", "f", VERSION, (), Limits(), 0, 0), RECORD)
        self.settler = Settler(
            lanes={1: self.lane},
            journal=self.journal,
            backlog=self.backlog,
            tasks=self.tasks,
            clock=self.clock,
            rng=random.Random(1),
            loop=loop,
        )
        self.told: list[dict[str, int]] = []

    async def submit(self, meanwhile: Callable[[Work], None] = lambda _work: None) -> Work:
        """Two events; `meanwhile` happens while the disk is at work."""
        begun: list[Work] = []

        def writing(leases: Sequence[Lease]) -> None:
            tally = Tally(2, lambda tally: self.told.append(tally.by_code))
            work = self.backlog.begin(self.lane, leases[0], [(0, 2, tally)])
            assert work is not None
            begun.append(work)
            meanwhile(work)

        now_ms = self.clock.now_ms()
        events = encode_events([{"type": "track"}] * 2)
        await self.journal.append([Chunk(1, events, now_ms, now_ms)], writing=writing)
        return begun[0]

    def run(self, work: Work) -> None:
        """One is delivered, one fails."""
        self.lane.take(2)
        self.settler.delivered(work, 0, 1, 0.0)
        self.settler.ended(work, 1, "unsupported_event_type", detail=b"", now=0.0)

    async def settled(self) -> int:
        """What is still stored."""
        await asyncio.sleep(0)
        await self.tasks.finish(10)
        return (await self.journal.depth(1)).stored


def on_a_bench(test: Callable[[Bench], Awaitable[None]]) -> Any:
    def run(tmp_path: Path) -> None:
        async def body() -> None:
            bench = Bench(tmp_path / "journal.db")
            try:
                await test(bench)
            finally:
                await bench.journal.close()

        asyncio.run(body())

    run.__name__ = test.__name__
    return run


@on_a_bench
async def test_outcomes_wait_until_their_chunk_is_stored(bench: Bench) -> None:
    work = await bench.submit(bench.run)
    assert (await bench.settled(), bench.told) == (2, [])
    bench.backlog.durable(work)
    assert bench.told == [{"delivered": 1, "unsupported_event_type": 1}]
    assert (await bench.settled(), bench.backlog.held_bytes) == (0, 0)


@on_a_bench
async def test_what_comes_after_it_is_stored_is_told_at_once(bench: Bench) -> None:
    work = await bench.submit()
    bench.backlog.durable(work)
    bench.run(work)
    assert bench.told == [{"delivered": 1, "unsupported_event_type": 1}]


@on_a_bench
async def test_nothing_begins_before_what_waits(bench: Bench) -> None:
    work = await bench.submit()
    assert bench.backlog.begin(bench.lane, work.lease, []) is None, "it is ready, and not yet run"
    bench.lane.take(2)
    bench.lane.has_backlog = True
    assert bench.backlog.begin(bench.lane, work.lease, []) is None


@on_a_bench
async def test_a_stopped_lane_gives_back_what_has_begun_once_it_is_stored(bench: Bench) -> None:
    def pause(_work: Work) -> None:
        bench.lane.become(LaneState.PAUSED)
        bench.backlog.spill(bench.lane)
        assert bench.lane.ready_events == 2, "the journal doesn't know the lease yet"

    work = await bench.submit(pause)
    bench.backlog.durable(work)
    assert (bench.lane.ready_events, bench.backlog.held_bytes) == (0, 0)
    [lease] = await bench.journal.lease(1, bench.clock.now_ms(), chunks_max=9, bytes_max=1 << 20)
    assert lease.id == work.lease.id


@on_a_bench
async def test_a_destination_removed_meanwhile_keeps_no_lease(bench: Bench) -> None:
    def remove(_work: Work) -> None:
        bench.lane.become(LaneState.REMOVED)
        bench.backlog.forget(bench.lane)

    work = await bench.submit(remove)
    bench.backlog.durable(work)
    assert (work.lease.remaining, bench.backlog.held_bytes, bench.told) == (0, 0, [])


@on_a_bench
async def test_of_what_was_not_stored_nothing_is_told_nor_run_again(bench: Bench) -> None:
    work = await bench.submit()
    [run] = bench.lane.take(1)
    run.remaining = 1
    bench.settler.delivered(work, 1, 1, 0.0)
    bench.backlog.failed(work)
    assert (bench.lane.ready_events, bench.backlog.held_bytes) == (0, 0)
    bench.lane.requeue(run)  # its worker died
    bench.settler.delivered(work, 0, 1, 0.0)
    assert (bench.lane.ready_events, await bench.settled(), bench.told) == (0, 2, [])

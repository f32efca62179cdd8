"""What is in memory and what stays on disk, on a real journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from engine.clock import ManualClock
from engine.dispatch.backlog import Backlog
from engine.dispatch.lane import Lane
from engine.dispatch.states import LaneState
from engine.dispatch.tasks import Tasks
from engine.events import encode_events
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Destination, FunctionVersion, Limits, Part
from engine.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

RECORD = Record(1, became_dirty=lambda _record: None, keep=lambda _record, _attempt: None)
VERSION = FunctionVersion(1, 1, "", "f.py", (), b"", "", 0, "", None)


class Bench:
    """A backlog of one destination."""

    def __init__(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        self.clock = ManualClock()
        self.journal = SqliteJournal.open(path, clock=self.clock, reserve_bytes=1 << 16)
        self.tasks = Tasks(loop)
        self.backlog = Backlog(journal=self.journal, clock=self.clock, loop=loop, tasks=self.tasks)
        self.lane = Lane(Destination(1, "d", "f", VERSION, (), Limits(), 0, 0), RECORD)

    async def submit(self, *names: str) -> None:
        """A chunk a name, of two events each."""
        for name in names:
            now_ms = self.clock.now_ms()
            events = encode_events([{"type": "track", "messageId": f"{name}{n}"} for n in range(2)])
            (lease,) = await self.journal.append([Chunk(1, events, now_ms, now_ms)])
            self.backlog.accept(self.lane, lease, [])
            self.clock.advance_ms(1)

    async def wake(self) -> None:
        self.backlog.wake(self.lane, 0)
        await self.tasks.finish(10)

    def ready(self) -> list[str]:
        return [name for run in self.lane.ready for name in run.events.message_ids]


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
async def test_a_stopped_lane_gives_its_memory_back_and_gets_its_events_in_their_order(bench: Bench) -> None:
    await bench.submit("a", "b", "c")
    assert bench.backlog.held_bytes == bench.lane.held_bytes > 0
    bench.lane.become(LaneState.PAUSED)
    bench.backlog.spill(bench.lane)
    assert (bench.ready(), bench.lane.ready_events, bench.backlog.held_bytes) == ([], 0, 0)
    await bench.submit("d")
    assert bench.backlog.held_bytes == 0
    await bench.wake()
    assert bench.ready() == []
    bench.lane.become(LaneState.RUNNING)
    await bench.wake()
    assert bench.ready() == ["a0", "a1", "b0", "b1", "c0", "c1", "d0", "d1"]


@on_a_bench
async def test_what_runs_is_not_given_back(bench: Bench) -> None:
    await bench.submit("a", "b")
    running = bench.lane.take(1)
    bench.lane.become(LaneState.PAUSED)
    bench.backlog.spill(bench.lane)
    assert bench.ready() == ["a1"]
    assert [run.events.message_ids for run in running] == [["a0"]]


@on_a_bench
async def test_of_a_chunk_that_was_settled_in_part_only_the_rest_comes_back(bench: Bench) -> None:
    await bench.submit("a")
    (run,) = bench.lane.take(1)
    await bench.journal.settle([(run.owner.lease, [Part((0,), "delivered")])])
    bench.lane.become(LaneState.PAUSED)
    bench.backlog.spill(bench.lane)
    bench.lane.become(LaneState.RUNNING)
    await bench.wake()
    assert bench.ready() == ["a1"]


@on_a_bench
async def test_so_many_chunks_are_read_from_disk_at_a_time_as_the_operator_says(bench: Bench) -> None:
    await bench.submit("a")
    bench.backlog.held_bytes_max = bench.backlog.held_bytes
    await bench.submit("b", "c", "d")
    bench.backlog.held_bytes_max = 1 << 20
    bench.backlog.lease_chunks = 2
    await bench.wake()
    assert bench.ready() == ["a0", "a1", "b0", "b1", "c0", "c1"]
    await bench.wake()
    assert bench.ready()[-2:] == ["d0", "d1"]


@on_a_bench
async def test_beyond_its_memory_what_is_new_queues_on_disk_behind_what_is_older(bench: Bench) -> None:
    await bench.submit("a")
    bench.backlog.held_bytes_max = bench.backlog.held_bytes
    await bench.submit("b")
    bench.backlog.held_bytes_max = 1 << 20
    await bench.submit("c")
    assert bench.ready() == ["a0", "a1"]
    await bench.wake()
    assert bench.ready() == ["a0", "a1", "b0", "b1", "c0", "c1"]
    await bench.submit("d")
    assert bench.ready()[-2:] == ["d0", "d1"]


@on_a_bench
async def test_a_removed_lane_holds_nothing_whatever_of_it_still_runs(bench: Bench) -> None:
    await bench.submit("a", "b")
    (run,) = bench.lane.take(2)
    bench.lane.become(LaneState.REMOVED)
    bench.backlog.forget(bench.lane)
    assert bench.backlog.held_bytes == 0
    bench.backlog.let_go(bench.lane, len(run.events.bodies))
    assert bench.backlog.held_bytes == 0

"""From a durable chunk to a settled one: joins the stages, and passes on what happens outside.

    accept ─► backlog ─► lane.ready ─► assigner ─► worker ─► reports ─► settler ─► journal
                 ▲           ▲                                  │          │
    journal.lease ┘           └── what a dead worker held ──────┘          │
                 ▲                                                         │
                 └──────────────── due retries ────────────────────────────┘

Costs go with frames, not with events.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.dispatch.assigning import Assigner
from engine.dispatch.backlog import Backlog
from engine.dispatch.gate import Gate
from engine.dispatch.reports import Reports
from engine.dispatch.settling import Settler
from engine.dispatch.tasks import Tasks
from engine.dispatch.tracing import Tracer
from engine.records import spans
from sandbox.wire import MIB

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.dispatch.lane import Lane
    from engine.dispatch.tally import Tally
    from engine.egress.counting import Calls
    from engine.egress.supervise import Egress
    from engine.journal.contract import Journal
    from engine.model import Destination, Lease
    from engine.workers.pool import Pool


class Dispatcher:
    """Owner of the lanes."""

    def __init__(
        self,
        *,
        journal: Journal,
        pool: Pool,
        open_settings: Callable[[Destination], bytes],
        used: Callable[..., None],
        egress: Egress,
        clock: Clock,
        rng: random.Random,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.lanes: dict[int, Lane] = {}
        self._clock = clock
        self._tasks = Tasks(loop)
        self._backlog = Backlog(journal=journal, clock=clock, loop=loop, tasks=self._tasks)
        self._assigner = Assigner(
            lanes=self.lanes,
            journal=journal,
            pool=pool,
            access_for=egress.access_for,
            backlog=self._backlog,
            open_settings=open_settings,
            clock=clock,
            loop=loop,
        )
        self._settler = Settler(
            lanes=self.lanes,
            journal=journal,
            backlog=self._backlog,
            tasks=self._tasks,
            clock=clock,
            rng=rng,
            loop=loop,
        )
        self.gate = Gate(backlog=self._backlog, clock=clock, rng=rng, loop=loop)
        self.gate.on_open = self._go_on
        self._tracer = Tracer(egress=egress, settler=self._settler, clock=clock)
        self._reports = Reports(
            assigner=self._assigner,
            settler=self._settler,
            tracer=self._tracer,
            gate=self.gate,
            backlog=self._backlog,
            used=used,
            clock=clock,
        )
        self._assigner.listener = self._reports
        self._backlog.on_ready = self._assigner.pump
        self.accept: Callable[[Lane, Lease, list[tuple[int, int, Tally]]], None] = self._backlog.accept
        self.expect: Callable[[list[Lane]], None] = self._assigner.expect
        self.wake: Callable[[Lane, int], None] = self._backlog.wake
        pool.listener = self
        self._used = used
        egress.on_counted = self._counted

    @property
    def held_bytes(self) -> int:
        """Memory that waiting and running events take."""
        return self._backlog.held_bytes

    def tune(self, *, frame_ms: int, memory_queue_mib: int, prefetch_chunks: int) -> None:
        """Settings that may change while it runs."""
        self._assigner.frame_ms = frame_ms
        self._backlog.held_bytes_max = memory_queue_mib * MIB
        self._backlog.lease_chunks = prefetch_chunks

    def on_version_compiled(self, call: Callable[[Destination, bytes, str], None]) -> None:
        """Call back with code that a worker compiled anew, and the policy it was compiled under."""
        self._reports.version_compiled = call

    # --- What the pool reports

    def capacity_changed(self) -> None:
        """A spare became ready, or a slot free."""
        self._assigner.feed_starved()

    def tick(self, now: float) -> None:
        """50 ms have passed: settle in parts what waits for slow siblings; look at lanes that are stuck."""
        self._settler.settle_slow(now)
        self._assigner.look_again()

    # --- What the egress reports

    def _counted(self, destination_id: int, calls: Calls) -> None:
        lane = self.lanes.get(destination_id)
        if lane is None:
            return
        for name, count in calls.responses.items():
            lane.record.count(spans.RESPONSES[name], count)
        self._used(
            lane.destination,
            fetches=calls.fetches,
            sent_bytes=calls.sent_bytes,
            received_bytes=calls.received_bytes,
        )

    # --- Changes from outside

    def deploy(self, destination: Destination) -> None:
        """A destination is new, or changed: its workers finish what they hold and end, unless nothing changed for them."""
        lane = self.lanes[destination.id]
        before, lane.destination = lane.destination, destination
        if before is not destination and destination.runs_as(before):
            return
        lane.mean_us, lane.deaths, lane.not_before = None, 0, 0.0
        self.gate.deploy(lane)
        for worker in list(lane.workers):
            worker.stop()
        self._assigner.pump(lane)

    def remove(self, lane: Lane) -> None:
        """Forget a destination; what its workers still do is not settled."""
        self.gate.forget(lane)
        self.lanes.pop(lane.destination.id, None)
        self._backlog.forget(lane)
        self._assigner.forget(lane)

    def _go_on(self, lane: Lane) -> None:
        """A lane may be given work again, of which some is on disk."""
        self._assigner.pump(lane)
        self._backlog.wake(lane, 0)

    async def drain(self, timeout_s: float) -> None:
        """Close batches and hand nothing else out; wait for what runs and for its settling, `timeout_s` at most."""
        self._assigner.close_batches()
        self._assigner.is_closed = self._backlog.is_closed = True
        deadline = self._clock.monotonic() + timeout_s
        while self._clock.monotonic() < deadline and self._is_busy():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self._settler.settle_all()
        await asyncio.sleep(0)
        await self._tasks.finish(max(0.0, deadline - self._clock.monotonic()) + 1)

    def _is_busy(self) -> bool:
        return bool(self._tracer.waiting) or any(lane.in_flight for lane in self.lanes.values())

"""Ready work → workers: fill those that have room, bind another if the destination is worth one, batch where asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.dispatch import batching, scheduling
from engine.dispatch.states import WORKING
from engine.workers.states import WorkerState
from sandbox import wire

if TYPE_CHECKING:
    import asyncio

    from engine.clock import Clock
    from engine.dispatch.backlog import Backlog
    from engine.dispatch.lane import Lane
    from engine.journal.contract import Journal
    from engine.workers.pool import Pool
    from engine.workers.worker import Listener, Worker


class Assigner:
    """Owner of who works for whom."""

    def __init__(
        self,
        *,
        lanes: dict[int, Lane],
        journal: Journal,
        pool: Pool,
        backlog: Backlog,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        frame_ms: int,
    ) -> None:
        self.lane_of: dict[int, Lane] = {}
        """Worker id → whose it is."""
        self.listener: Listener | None = None
        """Who hears what workers report."""
        self.is_closed = False
        """Nothing more is handed out."""
        self._lanes = lanes
        self._journal = journal
        self._pool = pool
        self._backlog = backlog
        self._clock = clock
        self._loop = loop
        self._frame_ms = frame_ms
        self._cpus = os.cpu_count() or 1
        self._starved: list[Lane] = []

    @property
    def policy_key(self) -> str:
        """Names interpreter and policy of the workers that are bound now."""
        return self._pool.policy_key

    def pump(self, lane: Lane) -> None:
        """Give ready work to workers that have room; bind another worker if the destination is worth one."""
        if self.is_closed or lane.state not in WORKING or not self._journal.is_writable:
            return
        if lane.ready or lane.suspects:
            self._feed(lane)
        self._backlog.top_up(lane)

    def feed_starved(self) -> None:
        """A spare became ready, or a slot free: destinations without a worker first, in turn."""
        starved, self._starved = self._starved, []
        for lane in starved:
            lane.is_waiting_for_slot = False
        for lane in starved:
            self.pump(lane)

    def forget(self, lane: Lane) -> None:
        """A destination is removed: nothing of it is handed out, and its workers end."""
        if lane.batch_timer:
            lane.batch_timer.cancel()
        lane.ready.clear()
        lane.suspects.clear()
        lane.ready_events = 0
        for worker in list(lane.workers):
            worker.kill("stopped", "its destination was removed")

    # --- Filling workers

    def _feed(self, lane: Lane) -> None:
        usable = [
            w
            for w in lane.workers
            if w.state not in {WorkerState.DRAINING, WorkerState.KILLED, WorkerState.STOPPED}
        ]
        for worker in usable:
            while self._give(lane, worker):
                pass
            if not lane.ready_events:
                return
        if (
            lane.destination.version.is_batching
            and not lane.suspects
            and usable
            and not self._batch_is_due(lane)
        ):
            return
        now = self._clock.monotonic()
        wanted = scheduling.workers_wanted(
            ready=lane.ready_events,
            mean=lane.mean_us,
            bound=len(usable),
            running_us=max((worker.running_us(now) for worker in usable), default=0.0),
            concurrency=1 if lane.destination.version.has_async else lane.destination.limits.concurrency,
            cpus=self._cpus,
            frame_ms=self._frame_ms,
        )
        for _ in range(wanted - len(usable)):
            worker_bound = self._bind(lane, is_first=not usable)
            if worker_bound is None:
                return
            usable.append(worker_bound)
            self._give(lane, worker_bound)

    def _give(self, lane: Lane, worker: Worker) -> bool:
        if worker.state is WorkerState.SUSPENDED:
            self._load(lane, worker)
        flags = wire.INVOKE_VERBOSE if lane.recent.is_followed else 0
        if lane.suspects:
            if worker.in_flight:
                return False
            lane.ready_events -= 1
            worker.send([lane.suspects.popleft()], flags | wire.INVOKE_ALONE)
            return True
        if not lane.ready or worker.holds_suspect:
            return False
        if lane.destination.version.is_batching:
            return self._give_batch(lane, worker, flags)
        slots = lane.destination.limits.concurrency if lane.destination.version.has_async else 1
        room = (
            scheduling.allowance(lane.mean_us, frame_ms=self._frame_ms, concurrency=slots) - worker.in_flight
        )
        if room <= 0:
            return False
        for run in lane.take(min(room, wire.CHUNK_EVENTS_MAX)):
            worker.send([run], flags)
        return True

    # --- Batches

    def _give_batch(self, lane: Lane, worker: Worker, flags: int) -> bool:
        if worker.in_flight:
            return False
        closing = self._closing(lane)
        if not closing.count:
            return False
        runs = lane.take(closing.count)
        if closing.as_batch:
            worker.send(runs, flags | wire.INVOKE_BATCH)
        else:
            for run in runs:
                worker.send([run], flags)
        return True

    def _closing(self, lane: Lane) -> batching.Closing:
        limits, version = lane.destination.limits, lane.destination.version
        now = self._clock.monotonic()
        closing = batching.close(
            ready=lane.ready_events,
            sizes=(size for run in lane.ready for size in run.events.sizes),
            waited_ms=round((now - lane.ready[0].owner.queued_at) * 1000) if lane.ready else 0,
            batch_size=limits.batch_size,
            batch_wait_ms=limits.batch_wait_ms,
            has_single=len(version.handlers) > 1,
        )
        if not closing.count and lane.ready and lane.batch_timer is None:
            lane.batch_timer = self._loop.call_later(closing.wait_ms / 1000, self._batch_waited, lane)
        return closing

    def _batch_is_due(self, lane: Lane) -> bool:
        return bool(self._closing(lane).count)

    def _batch_waited(self, lane: Lane) -> None:
        lane.batch_timer = None
        self.pump(lane)

    # --- Binding workers

    def _bind(self, lane: Lane, *, is_first: bool) -> Worker | None:
        now = self._clock.monotonic()
        if lane.not_before > now:
            return None
        if not is_first and (self._starved or not self._pool.has_slot()):
            return None
        if lane.destination.version.is_batching and not lane.suspects and not self._batch_is_due(lane):
            return None
        worker = self._pool.take_spare()
        if worker is None:
            if is_first:
                self._starve(lane)
            return None
        self._pool.bind(worker, lane.destination.limits.memory_mib)
        self._load(lane, worker)
        lane.workers.append(worker)
        self.lane_of[worker.id] = lane
        return worker

    def _starve(self, lane: Lane) -> None:
        """It has work and no worker: it is next when a spare is ready or a slot is free."""
        if not lane.is_waiting_for_slot:
            lane.is_waiting_for_slot = True
            self._starved.append(lane)
        if not self._pool.has_slot() and not self._pool.stop_idlest():
            crowded = max(self._lanes.values(), key=lambda other: len(other.workers))
            if len(crowded.workers) > 1:
                crowded.workers[-1].stop()

    def _load(self, lane: Lane, worker: Worker) -> None:
        destination = lane.destination
        version, limits = destination.version, destination.limits
        is_current = version.policy_key == self._pool.policy_key
        frame = wire.Load(
            version.code if is_current else None,
            None if is_current else version.source,
            version.filename,
            destination.settings,
            limits.timeout_ms,
            limits.concurrency,
            limits.console_bytes,
        )
        assert self.listener is not None
        worker.load(frame, listener=self.listener, bound_to=destination.name)

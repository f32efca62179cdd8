"""Ready work → workers: fill those that have room, bind another if the destination is worth one, batch where asked."""

from __future__ import annotations

import itertools
import os
import weakref
from typing import TYPE_CHECKING, Final

from engine.dispatch import batching, pacing, scheduling
from engine.dispatch.states import WORKING, LaneState
from engine.workers.blocked import Sleep
from engine.workers.states import WorkerState
from sandbox import wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.dispatch.backlog import Backlog
    from engine.dispatch.lane import Lane
    from engine.egress.access import Access
    from engine.journal.contract import Journal
    from engine.model import Destination
    from engine.workers.holdings import Run
    from engine.workers.pool import Pool
    from engine.workers.telling import Listener
    from engine.workers.worker import Worker

ENDING: Final = frozenset({WorkerState.DRAINING, WorkerState.KILLED, WorkerState.STOPPED})
FRAMES_A_TURN: Final = 4
"""A destination is given no more of the loop at a time: a flood of one delays nobody else's single event."""
LOOK_S: Final = 0.1
WORKERS_LOOKED_AT: Final = 4
ROOM_UNBOUNDED: Final = 1 << 30


class Assigner:
    """Owner of who works for whom."""

    def __init__(
        self,
        *,
        lanes: dict[int, Lane],
        journal: Journal,
        pool: Pool,
        access_for: Callable[[Destination, bytes], Access],
        backlog: Backlog,
        open_settings: Callable[[Destination], bytes],
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`open_settings` gives what a destination's worker reads as settings, secrets opened."""
        self.lane_of: dict[int, Lane] = {}
        """Worker id → whose it is."""
        self.listener: Listener | None = None
        """Who hears what workers report."""
        self.frame_ms = 20
        """Work that a worker is sent at a time."""
        self.is_draining = False
        """Batches don't wait for more any longer."""
        self.is_closed = False
        """Nothing more is handed out."""
        self._lanes = lanes
        self._journal = journal
        self._pool = pool
        self._access_for = access_for
        self._backlog = backlog
        self._open_settings = open_settings
        self._clock = clock
        self._loop = loop
        self._cpus = os.cpu_count() or 1
        self._starved: list[Lane] = []
        self._waiting: set[Lane] = set()
        """Those that had work when they were looked at last."""
        self._sleep: weakref.WeakKeyDictionary[Worker, Sleep] = weakref.WeakKeyDictionary()

    def pump(self, lane: Lane) -> None:
        """Give ready work to workers that have room; bind another worker if the destination is worth one."""
        if lane.has_work:
            self._waiting.add(lane)
        if self.is_closed or lane.state not in WORKING or not self._journal.is_writable:
            return
        if lane.ready or lane.suspects:
            self._feed(lane)
        self._backlog.top_up(lane)

    def look_again(self) -> None:
        """Whatever keeps work waiting may have passed: a destination that has none costs nothing."""
        for lane in list(self._waiting):
            if not lane.has_work:
                self._waiting.discard(lane)
            elif not lane.is_waiting_for_slot:
                self.pump(lane)

    def expect(self, lanes: list[Lane]) -> None:
        """Events of theirs are on their way to the disk: they get a worker, or wake it, meanwhile."""
        for lane in lanes:
            if self.is_closed or lane.state is not LaneState.RUNNING or not lane.is_cold:
                continue
            if lane.workers:
                self._load(lane, lane.workers[0], self._open_settings(lane.destination))
            else:
                self._bind(lane)

    def feed_starved(self) -> None:
        """A spare became ready, or a slot free: destinations without a worker first, in turn."""
        starved, self._starved = self._starved, []
        short: set[tuple[str, ...]] = set()
        for lane in starved:
            libraries = lane.destination.version.libraries
            if libraries in short:
                self._starved.append(lane)
                continue
            lane.is_waiting_for_slot = False
            self.pump(lane)
            if lane.is_waiting_for_slot:
                short.add(libraries)
        self._pool.waiting = min(len(self._starved), scheduling.WAITING_MAX)

    def forget(self, lane: Lane) -> None:
        """A destination is removed: nothing of it is handed out, and its workers end."""
        for timer in (lane.batch_timer, lane.rate_timer):
            if timer:
                timer.cancel()
        lane.ready.clear()
        lane.suspects.clear()
        lane.ready_events = 0
        self._waiting.discard(lane)
        for worker in list(lane.workers):
            worker.kill("stopped", "its destination was removed")

    # --- Filling workers

    def _feed(self, lane: Lane) -> None:
        usable = [worker for worker in lane.workers if worker.state not in ENDING]
        frames = 0
        for worker in usable:
            while self._give(lane, worker):
                frames += 1
                if frames == FRAMES_A_TURN:
                    self._go_on_later(lane)
                    return
            if not lane.ready_events:
                return
        room = self._room(lane)
        if not room or (self._is_collecting(lane) and not self._closing(lane).count):
            return
        now = self._clock.monotonic()
        running_us = max((worker.running_us(now) for worker in usable), default=0.0)
        wanted = scheduling.workers_wanted(
            ready=min(lane.ready_events, room),
            mean=lane.mean_us,
            bound=len(usable),
            running_us=running_us,
            is_blocked=self._is_blocked(lane, usable, max(running_us, lane.mean_us or 0.0), now),
            concurrency=1 if lane.destination.version.has_async else lane.destination.limits.concurrency,
            cpus=self._cpus,
            frame_ms=self.frame_ms,
        )
        for _ in range(wanted - len(usable)):
            if usable and not self._may_grow(lane.destination.version.libraries):
                return
            worker_bound = self._bind(lane)
            if worker_bound is None:
                if not usable and lane.not_before <= now:
                    self._starve(lane)
                return
            usable.append(worker_bound)
            self._give(lane, worker_bound)

    def _go_on_later(self, lane: Lane) -> None:
        """In the next turn of the loop, after those who have waited for this one."""
        if not lane.goes_on:
            lane.goes_on = True
            self._loop.call_soon(self._go_on, lane)

    def _go_on(self, lane: Lane) -> None:
        lane.goes_on = False
        self.pump(lane)

    def _is_blocked(self, lane: Lane, usable: list[Worker], cost_us: float, now: float) -> bool:
        """Its slow handler waits for something; looked at now and then, at some of its workers."""
        if cost_us < scheduling.BLOCKING_US:
            return False
        if now - lane.looked_at >= LOOK_S and usable:
            lane.looked_at = now
            asked = [
                self._sleep[worker].is_most(now, held_since=worker.held_since)
                for worker in usable[:WORKERS_LOOKED_AT]
            ]
            looks = [look for look in asked if look is not None]
            if looks:
                lane.is_blocked = 2 * sum(looks) >= len(looks)
        return lane.is_blocked

    def _give(self, lane: Lane, worker: Worker) -> bool:
        room = self._room(lane)
        if not room or not lane.ready_events or worker.is_full:
            return False
        if worker.state is WorkerState.SUSPENDED:
            self._load(lane, worker, self._open_settings(lane.destination))
        flags = wire.INVOKE_VERBOSE if lane.record.is_followed else 0
        if lane.suspects or lane.state is LaneState.PROBING:
            return self._give_alone(lane, worker, flags)
        if self._is_collecting(lane):
            return self._give_batch(lane, worker, flags)
        return self._give_frame(lane, worker, flags, room)

    def _give_alone(self, lane: Lane, worker: Worker, flags: int) -> bool:
        if worker.in_flight:
            return False
        run = lane.take_alone()
        self._send(lane, worker, [run], flags | wire.INVOKE_ALONE | _batch_flag(lane, run))
        return True

    def _give_frame(self, lane: Lane, worker: Worker, flags: int, room: int) -> bool:
        slots = lane.destination.limits.concurrency if lane.destination.version.has_async else 1
        allowance = scheduling.allowance(lane.mean_us, frame_ms=self.frame_ms, concurrency=slots)
        room = min(
            room,
            scheduling.room(allowance, in_flight=worker.in_flight, concurrency=slots),
            wire.CHUNK_EVENTS_MAX,
        )
        if room <= 0 or worker.holds_suspect:
            return False
        self._send(lane, worker, lane.take(room, is_cut=False), flags)
        return True

    def _send(self, lane: Lane, worker: Worker, runs: list[Run], flags: int) -> None:
        if lane.destination.limits.rate_per_s:
            lane.bucket = pacing.take(lane.bucket, sum(map(len, runs)))
        if flags & wire.INVOKE_BATCH:
            lane.batches[worker.id] = False
        worker.send(runs, flags)

    def _room(self, lane: Lane) -> int:
        """How many deliveries may be handed out now, for its rate and its breaker; asks again when there is some."""
        room = ROOM_UNBOUNDED
        if lane.state is LaneState.PROBING:
            room = 0 if lane.in_flight else 1
        elif lane.breaker.room:
            room = max(0, lane.breaker.room - lane.in_flight)
        rate_per_s = lane.destination.limits.rate_per_s
        if rate_per_s and room:
            lane.bucket = pacing.fill(lane.bucket, rate_per_s=rate_per_s, now_s=self._clock.monotonic())
            wait_s = pacing.wait_s(lane.bucket, rate_per_s=rate_per_s)
            if wait_s and lane.rate_timer is None:
                lane.rate_timer = self._loop.call_later(wait_s, self._rate_waited, lane)
            room = 0 if wait_s else min(room, int(lane.bucket.tokens))
        return room

    def _rate_waited(self, lane: Lane) -> None:
        lane.rate_timer = None
        self.pump(lane)

    # --- Batches

    @staticmethod
    def _is_collecting(lane: Lane) -> bool:
        """Its events wait for each other. Those that run alone don't."""
        is_alone = bool(lane.suspects) or lane.state is LaneState.PROBING
        return lane.destination.version.is_batching and not is_alone

    def _give_batch(self, lane: Lane, worker: Worker, flags: int) -> bool:
        if worker.in_flight:
            return False
        closing = self._closing(lane)
        if not closing.count:
            return False
        runs = lane.take(closing.count)
        if closing.as_batch:
            self._send(lane, worker, runs, flags | wire.INVOKE_BATCH)
        else:
            for run in runs:
                self._send(lane, worker, [run], flags)
        return True

    def _closing(self, lane: Lane) -> batching.Closing:
        limits = lane.destination.limits
        waited_s = self._clock.monotonic() - lane.ready[0].owner.queued_at if lane.ready else 0.0
        types = itertools.chain.from_iterable(run.events.types for run in lane.ready)
        closing = batching.close(
            sizes=(size for run in lane.ready for size in run.events.sizes),
            waited_ms=round(waited_s * 1000),
            batch_size=limits.batch_size,
            batch_wait_ms=limits.batch_wait_ms,
            has_single=all(_has_handler(lane, kind) for kind in itertools.islice(types, limits.batch_size)),
            is_last=self.is_draining,
        )
        if not closing.count and lane.ready and lane.batch_timer is None:
            lane.batch_timer = self._loop.call_later(closing.wait_ms / 1000, self._batch_waited, lane)
        return closing

    def _batch_waited(self, lane: Lane) -> None:
        lane.batch_timer = None
        self.pump(lane)

    def close_batches(self) -> None:
        """The daemon stops: what was collected for batches goes now, where a worker is free for it."""
        self.is_draining = True
        for lane in self._lanes.values():
            if self._is_collecting(lane):
                self.pump(lane)

    # --- Binding workers

    def _bind(self, lane: Lane) -> Worker | None:
        now = self._clock.monotonic()
        if lane.not_before > now:
            return None
        libraries = lane.destination.version.libraries
        if not lane.workers and not self._pool.has_slot() and self._pool.spares_ready(libraries):
            self._pool.stop_idlest()
        worker = self._pool.take_spare(libraries, lane.destination.id)
        if worker is None:
            return None
        settings = self._open_settings(lane.destination)
        access = self._access_for(lane.destination, settings)
        self._pool.bind(worker, lane.destination.limits.memory_mib, access)
        self._load(lane, worker, settings)
        self._sleep[worker] = Sleep(worker.pid)
        lane.workers.append(worker)
        self.lane_of[worker.id] = lane
        return worker

    def _may_grow(self, libraries: tuple[str, ...]) -> bool:
        """A destination may have another worker only while the last slots and the last spare are left to those without one."""
        options = self._pool.options
        if self._starved or self._pool.spares_ready(libraries) < min(2, options.spares):
            return False
        return self._pool.slots_free > scheduling.slots_reserved(options.workers_max)

    def _starve(self, lane: Lane) -> None:
        """It has work and no worker: it is next when a spare is ready or a slot is free."""
        if not lane.is_waiting_for_slot:
            lane.is_waiting_for_slot = True
            self._starved.append(lane)
            self._pool.waiting = min(len(self._starved), scheduling.WAITING_MAX)
        if not self._pool.has_slot() and self._pool.spares_ready(lane.destination.version.libraries):
            # No worker is idle, or it would have ended.
            crowded = max(self.lane_of.values(), key=lambda other: len(other.workers), default=lane)
            if len(crowded.workers) > 1:
                crowded.workers[-1].stop()

    def _load(self, lane: Lane, worker: Worker, settings: bytes) -> None:
        destination = lane.destination
        version, limits = destination.version, destination.limits
        is_current = version.policy_key == worker.policy_key
        frame = wire.Load(
            version.code if is_current else None,
            None if is_current else version.source,
            version.filename,
            settings,
            limits.timeout_ms,
            limits.concurrency,
            limits.console_bytes,
            destination.filter,
            destination.sensitive,
        )
        assert self.listener is not None
        worker.load(frame, listener=self.listener, bound_to=destination.name)


def _has_handler(lane: Lane, kind: int) -> bool:
    name = wire.EVENT_TYPES[kind]
    return any(handler.event_type == name for handler in lane.destination.version.handlers)


def _batch_flag(lane: Lane, run: Run) -> int:
    """A single event of a type that only `on_batch` takes is a batch of one."""
    is_batching = lane.destination.version.is_batching
    return wire.INVOKE_BATCH if is_batching and not _has_handler(lane, run.events.types[0]) else 0

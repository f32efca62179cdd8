"""The loop from a durable chunk to a settled one: lease, batch, assign, classify, settle.

    accept(leases) ─► lane.ready ─► pump ─► worker.send ─► ended ─► Work ─► settle ─► journal
                         ▲  ▲                                 gone ─► requeue, or charge the culprit
     journal.lease ──────┘  └─ due retries

Costs go with frames: a frame of a hundred delivered events is one range, one mask and one settlement.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import structlog

from engine.dispatch import batching, retrying, scheduling
from engine.dispatch.lane import Lane, Work
from engine.model import ATTEMPTS_MAX, COUNTED_CODES, Part
from engine.records.recent import Attempt
from engine.workers.states import WorkerState
from sandbox import wire

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Sequence

    from engine.clock import Clock
    from engine.dispatch.retrying import RetryPolicy
    from engine.dispatch.tally import Tally
    from engine.journal.contract import Journal
    from engine.model import Chunk, Destination, Lease
    from engine.workers.pool import Pool
    from engine.workers.worker import Death, Run, Worker

log = structlog.get_logger()

SETTLE_AFTER_S: Final = 0.25
"""A chunk whose last deliveries are slow is settled in parts after this long."""
LEASE_CHUNKS: Final = 64
LEASE_BYTES: Final = 8 * wire.MIB
BACKOFF_S: Final = (0.0, 0.0, 0.0, 0.1, 0.5, 2.0, 10.0, 30.0)
"""Pause before another worker is bound, by how many died in a row."""
DEATHS_WITHOUT_CULPRIT_MAX: Final = 3


class Dispatcher:
    """Owner of the lanes."""

    def __init__(
        self,
        *,
        journal: Journal,
        pool: Pool,
        clock: Clock,
        rng: random.Random,
        retry_policy: RetryPolicy,
        frame_ms: int,
        memory_queue_mib: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.lanes: dict[int, Lane] = {}
        self.is_draining = False
        self.version_compiled: Callable[[Destination, bytes, str], None] = lambda *_: None
        self.held_bytes = 0
        self._journal = journal
        self._pool = pool
        self._clock = clock
        self._rng = rng
        self._retry_policy = retry_policy
        self._frame_ms = frame_ms
        self._held_bytes_max = memory_queue_mib * wire.MIB
        self._loop = loop
        self._cpus = os.cpu_count() or 1
        self._unsettled: dict[int, Work] = {}
        self._finished: list[Work] = []
        self._is_settle_scheduled = False
        self._settling = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._of_worker: dict[int, Lane] = {}
        self._starved: list[Lane] = []
        pool.listener = self

    # --- In: fresh chunks, backlog, due retries

    def accept(self, lane: Lane, lease: Lease, waiters: list[tuple[int, int, Tally]]) -> None:
        """Take a chunk that has just become durable; keep it in memory if there is room and nothing older on disk."""
        size = len(lease.chunk.events.bodies)
        if lane.has_backlog or self.held_bytes + size > self._held_bytes_max or lane.is_removed:
            self._journal.release([lease])
            if waiters:
                lane.waiters[lease.id] = waiters
            lane.has_backlog, lane.backlog_turn = True, lane.backlog_turn + 1
        else:
            self._queue(lane, lease, waiters)
        self.pump(lane)

    def _queue(self, lane: Lane, lease: Lease, waiters: list[tuple[int, int, Tally]]) -> None:
        self.held_bytes += len(lease.chunk.events.bodies)
        work = Work(lane, lease, lease.remaining, waiters=waiters, queued_at=self._clock.monotonic())
        lane.queue(work)

    def wake_from_disk(self, lane: Lane, due_ms: int) -> None:
        """The journal has a chunk of this destination that is due at `due_ms`."""
        now_ms = self._clock.now_ms()
        if due_ms <= now_ms:
            lane.has_backlog, lane.backlog_turn = True, lane.backlog_turn + 1
            self._lease_more(lane)
        elif lane.due_at_ms is None or due_ms < lane.due_at_ms:
            if lane.due_timer:
                lane.due_timer.cancel()
            lane.due_at_ms = due_ms
            # A clock that jumps must not make the wait endless: look again after a minute at the latest.
            pause_s = min((due_ms - now_ms) / 1000, 60.0)
            lane.due_timer = self._loop.call_later(pause_s, self._due, lane)

    def _due(self, lane: Lane) -> None:
        due_ms, lane.due_at_ms, lane.due_timer = lane.due_at_ms, None, None
        if due_ms is not None and not lane.is_removed:
            if due_ms > self._clock.now_ms():
                self.wake_from_disk(lane, due_ms)
            else:
                self._lease_more(lane, is_due=True)

    def _lease_more(self, lane: Lane, *, is_due: bool = False) -> None:
        is_short = lane.ready_events < scheduling.EVENTS_IN_FLIGHT_MAX
        if lane.is_leasing or self.is_draining or lane.is_removed or not (is_short or is_due):
            return
        if self.held_bytes >= self._held_bytes_max and lane.ready:
            return
        lane.is_leasing = True
        self._spawn(self._lease(lane))

    async def _lease(self, lane: Lane) -> None:
        turn = lane.backlog_turn
        try:
            leases = await self._journal.lease(
                lane.destination.id, self._clock.now_ms(), chunks_max=LEASE_CHUNKS, bytes_max=LEASE_BYTES
            )
            if lane.is_removed:
                self._journal.release(leases)
                return
            for lease in leases:
                self._queue(lane, lease, lane.waiters.pop(lease.id, []))
            if not leases and turn == lane.backlog_turn:
                lane.has_backlog = False
            if len(leases) < LEASE_CHUNKS:
                due = await self._journal.next_due(lane.destination.id)
                due_ms = due.get(lane.destination.id)
                if due_ms is not None and due_ms > self._clock.now_ms():
                    self.wake_from_disk(lane, due_ms)
                elif due_ms is not None:
                    lane.has_backlog = True
        finally:
            lane.is_leasing = False
        self.pump(lane)

    # --- Assign

    def pump(self, lane: Lane) -> None:
        """Give ready work to workers that have room; bind another worker if the destination is worth one."""
        if self.is_draining or lane.is_removed or lane.is_quarantined or not self._journal_writable():
            return
        if lane.ready or lane.suspects:
            self._feed(lane)
        if lane.has_backlog and lane.ready_events < scheduling.EVENTS_IN_FLIGHT_MAX // 2:
            self._lease_more(lane)

    def _journal_writable(self) -> bool:
        return self._journal.is_writable

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
            worker.load(self._load_frame(lane), listener=self, bound_to=lane.destination.name)
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
        limits = lane.destination.limits
        self._pool.bind(worker, limits.memory_mib)
        worker.load(self._load_frame(lane), listener=self, bound_to=lane.destination.name)
        lane.workers.append(worker)
        self._of_worker[worker.id] = lane
        return worker

    def _starve(self, lane: Lane) -> None:
        """It has work and no worker: it is next when a spare is ready or a slot is free."""
        if not lane.is_waiting_for_slot:
            lane.is_waiting_for_slot = True
            self._starved.append(lane)
        if not self._pool.has_slot() and not self._pool.stop_idlest():
            crowded = max(self.lanes.values(), key=lambda other: len(other.workers))
            if len(crowded.workers) > 1:
                crowded.workers[-1].stop()

    def _load_frame(self, lane: Lane) -> wire.Load:
        destination = lane.destination
        version, limits = destination.version, destination.limits
        is_current = version.policy_key == self._pool.policy_key
        return wire.Load(
            version.code if is_current else None,
            None if is_current else version.source,
            version.filename,
            destination.settings,
            limits.timeout_ms,
            limits.concurrency,
            limits.console_bytes,
        )

    # --- What the pool reports

    def capacity_changed(self) -> None:
        """A spare became ready, or a slot free: destinations without a worker first, in turn."""
        starved, self._starved = self._starved, []
        for lane in starved:
            lane.is_waiting_for_slot = False
        for lane in starved:
            self.pump(lane)

    def tick(self, now: float) -> None:
        """50 ms have passed: settle in parts what waits for slow siblings; look at lanes that are stuck."""
        for work in list(self._unsettled.values()):
            if work.since and now - work.since > SETTLE_AFTER_S:
                self._finish(work)
        for lane in self.lanes.values():
            if lane.ready_events and not lane.is_waiting_for_slot:
                self.pump(lane)

    # --- What workers report

    def loaded(self, worker: Worker, frame: wire.Loaded) -> None:
        """The module is loaded; code compiled anew is kept."""
        lane = self._of_worker[worker.id]
        if frame.code is not None:
            self.version_compiled(lane.destination, frame.code, self._pool.policy_key)
        self.pump(lane)

    def refused(self, worker: Worker, frame: wire.Refused) -> None:
        """The module that once loaded doesn't any more: everything ready fails with `load_failed`."""
        self._of_worker[worker.id].recent.last_load_error = frame.detail

    def ended(
        self,
        worker: Worker,
        delivered: list[tuple[Run, int, int]],
        failures: list[tuple[Run, int, wire.Failure]],
    ) -> None:
        """Outcomes: add them to their chunks, measure, top up."""
        lane = self._of_worker[worker.id]
        now = self._clock.monotonic()
        count = len(failures)
        for run, offset, number in delivered:
            count += number
            self._add_delivered(run.owner, run.start + offset, number, now)
        for run, offset, row in failures:
            self._add_failure(
                run.owner,
                run.start + offset,
                wire.OUTCOME_CODES[row.code],
                after_ms=row.after_ms,
                detail=row.detail,
                now=now,
            )
        if count:
            lane.mean_us = scheduling.mean_us(lane.mean_us, (now - worker.busy_since) * 1e6, count)
            lane.deaths = 0
        worker.busy_since = now
        self.pump(lane)

    def gone(self, worker: Worker, death: Death) -> None:
        """A worker ended: charge the culprit, run the rest again."""
        lane = self._of_worker.pop(worker.id)
        lane.workers.remove(worker)
        now = self._clock.monotonic()
        if death.reason not in {"stopped", "zygote"}:
            lane.deaths += 1
            lane.not_before = now + BACKOFF_S[min(lane.deaths, len(BACKOFF_S) - 1)]
            lane.is_quarantined = lane.is_quarantined or death.is_attack
            log.warning(
                "worker_died", destination=lane.destination.name, reason=death.reason, why=death.explanation
            )
        if death.reason in {"refused", "load_failed"}:
            self._fail_load(lane, death, now)
        else:
            self._charge(lane, death, now)
        self.pump(lane)

    def _charge(self, lane: Lane, death: Death, now: float) -> None:
        culprits = death.culprits
        if (
            not culprits
            and death.held
            and death.reason != "zygote"
            and lane.deaths >= DEATHS_WITHOUT_CULPRIT_MAX
        ):
            run = death.held[0]
            culprits = [(run, (run.remaining & -run.remaining).bit_length() - 1)]
        detail = self._death_detail(death)
        if len(culprits) == 1:
            run, offset = culprits[0]
            run.remaining &= ~(1 << offset)
            self._add_failure(run.owner, run.start + offset, death.reason, detail=detail, now=now)
        else:
            for run, offset in culprits:
                run.remaining &= ~(1 << offset)
                lane.suspects.append(run.owner.run(run.start + offset, run.start + offset + 1))
                lane.ready_events += 1
        for run in reversed(death.held):
            if run.remaining:
                lane.requeue(run)

    def _fail_load(self, lane: Lane, death: Death, now: float) -> None:
        detail = self._death_detail(death) if death.reason == "load_failed" else lane.recent.last_load_error
        for run in death.held:
            for place in run.open_places():
                self._add_failure(run.owner, place, "load_failed", detail=detail, now=now)
        while lane.suspects:
            lane.ready.append(lane.suspects.popleft())
        for run in lane.ready:
            for place in range(run.start, run.start + len(run)):
                self._add_failure(run.owner, place, "load_failed", detail=detail, now=now)
        lane.ready.clear()
        lane.ready_events = 0

    @staticmethod
    def _death_detail(death: Death) -> bytes:
        error = {
            "code": death.reason,
            "type": "WorkerDied",
            "message": death.explanation,
            "line": None,
            "column": None,
        }
        return wire.Detail(error={**error, "traceback": []}).pack()

    # --- Classify and settle

    def _add_delivered(self, work: Work, start: int, count: int, now: float) -> None:
        bits = ((1 << count) - 1) << start
        work.delivered |= bits
        work.lane.recent.count("delivered", count)
        if work.waiters:
            work.tell(start, count, "delivered", "delivered")
        self._resolve(work, bits, now)

    def _add_failure(
        self, work: Work, place: int, code: str, *, after_ms: int = 0, detail: bytes, now: float
    ) -> None:
        lane, chunk = work.lane, work.lease.chunk
        if code == "delivered":
            work.delivered |= 1 << place
            kind = "delivered"
        else:
            work.failed.setdefault(code, []).append((place, after_ms, detail))
            kind = self._verdict(code, chunk, after_ms).kind
        lane.recent.count(code, 1)
        lane.recent.add(
            Attempt(
                self._clock.now_ms(),
                work.lease.delivery_id(place),
                chunk.events.types[place],
                chunk.attempt,
                code,
                detail,
            )
        )
        if work.waiters:
            work.tell(place, 1, kind, code, detail)
        self._resolve(work, 1 << place, now)

    def _resolve(self, work: Work, bits: int, now: float) -> None:
        work.unresolved &= ~bits
        if not work.unresolved:
            self._finish(work)
        elif not work.since:
            work.since = now
            self._unsettled[work.lease.id] = work

    def _verdict(self, code: str, chunk: Chunk, after_ms: int) -> retrying.Verdict:
        return retrying.decide(
            code,
            attempt=chunk.attempt,
            accepted_ms=chunk.accepted_ms,
            now_ms=self._clock.now_ms(),
            after_ms=after_ms,
            policy=self._retry_policy,
            rng=self._rng,
        )

    def _finish(self, work: Work) -> None:
        """Settle what has ended of it, with everything else that ends in this turn of the loop."""
        work.since = 0.0
        self._unsettled.pop(work.lease.id, None)
        self._finished.append(work)
        if not self._is_settle_scheduled:
            self._is_settle_scheduled = True
            self._loop.call_soon(self._settle_finished)

    def _settle_finished(self) -> None:
        self._is_settle_scheduled = False
        finished, self._finished = self._finished, []
        settlements = [(work.lease, self._parts(work)) for work in finished]
        self._settling += 1
        self._spawn(self._settle([(lease, parts) for lease, parts in settlements if parts], finished))

    async def _settle(
        self, settlements: Sequence[tuple[Lease, Sequence[Part]]], finished: list[Work]
    ) -> None:
        try:
            await self._journal.settle(settlements)
        finally:
            self._settling -= 1
        for work in finished:
            if not work.unresolved:
                self.held_bytes -= len(work.lease.chunk.events.bodies)
        for lease, parts in settlements:
            dues = [part.due_ms for part in parts if part.kind == "retry"]
            lane = self.lanes.get(lease.chunk.destination_id)
            if dues and lane is not None:
                self.wake_from_disk(lane, min(dues))

    def _parts(self, work: Work) -> list[Part]:
        """What ended of a chunk as parts: one of the delivered, and one a code, with one due time each."""
        parts = []
        if work.delivered:
            mask, work.delivered = work.delivered, 0
            parts.append(Part(_places(mask), "delivered"))
        failed, work.failed = work.failed, {}
        chunk = work.lease.chunk
        for code, entries in failed.items():
            verdict = self._verdict(code, chunk, max(after_ms for _, after_ms, _ in entries))
            lane = work.lane.recent
            if verdict.kind == "retry":
                lane.retried += len(entries)
            elif verdict.kind == "dead":
                lane.dead += len(entries)
            parts.append(
                Part(
                    tuple(place for place, _, _ in entries),
                    verdict.kind,
                    code,
                    verdict.due_ms,
                    chunk.attempt + 1,
                    alone=code in ATTEMPTS_MAX,
                    detail=b"" if code in COUNTED_CODES else entries[0][2],
                )
            )
        return parts

    # --- Changes from outside

    def deploy(self, destination: Destination) -> None:
        """A destination is new, or has a new version: its old workers finish what they hold and end."""
        lane = self.lanes[destination.id]
        lane.destination = destination
        lane.mean_us, lane.deaths, lane.not_before = None, 0, 0.0
        for worker in list(lane.workers):
            worker.stop()
        self.pump(lane)

    def remove(self, lane: Lane) -> None:
        """Forget a destination; what its workers still do is not settled."""
        lane.is_removed = True
        self.lanes.pop(lane.destination.id, None)
        for timer in (lane.due_timer, lane.batch_timer):
            if timer:
                timer.cancel()
        for run in (*lane.ready, *lane.suspects):
            self.held_bytes -= sum(run.events.sizes)
        lane.ready.clear()
        lane.suspects.clear()
        lane.ready_events = 0
        for worker in list(lane.workers):
            worker.kill("stopped", "its destination was removed")

    async def drain(self, timeout_s: float) -> None:
        """Hand nothing out any more; wait for what is running and for its settling, `timeout_s` at most."""
        self.is_draining = True
        deadline = self._clock.monotonic() + timeout_s
        while self._clock.monotonic() < deadline and any(lane.in_flight for lane in self.lanes.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for work in list(self._unsettled.values()):
            self._finish(work)
        await asyncio.sleep(0)
        while self._tasks and self._clock.monotonic() < deadline + 1:
            await asyncio.wait(set(self._tasks), timeout=0.1)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatch_failed", error=repr(error))


def _places(mask: int) -> tuple[int, ...]:
    """Places of the bits that are set."""
    if mask & (mask + 1) == 0:
        return tuple(range(mask.bit_length()))
    return tuple(at for at in range(mask.bit_length()) if mask >> at & 1)

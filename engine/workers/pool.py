"""The pool: spares ahead of need, slots, deadlines, memory, and what happens to those that have nothing to do.

The pool decides about processes; whose work they do is the dispatcher's. A worker is bound to one (destination,
version) for life.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from engine.errors import Unavailable
from engine.workers.states import LIVE, WorkerState
from engine.workers.worker import Worker
from engine.workers.zygote import Zygote
from sandbox.wire import MIB

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from engine.clock import Clock
    from engine.workers.zygote import SpareFds
    from sandbox import wire

log = structlog.get_logger()

TICK_S: Final = 0.05
MEMORY_EVERY_TICKS: Final = 20
"""Memory is sampled once a second."""
MEMORY_PERCENT_MAX: Final = 80
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
RESPAWN_S: Final = (0.0, 0.05, 0.2, 1.0, 5.0)
"""Pauses before a zygote is started again, by how often in a row it died young."""


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What the operator decides about processes."""

    spares: int = 4
    workers_max: int = 256
    suspend_after_s: float = 60.0
    stop_after_s: float = 300.0
    is_degraded_allowed: bool = False


class PoolListener(Protocol):
    """Whoever hands out work."""

    def capacity_changed(self) -> None:
        """A spare became ready, or a slot free."""

    def tick(self, now: float) -> None:
        """50 ms have passed."""


class Pool:
    """Owner of the zygote and of all workers."""

    def __init__(self, options: PoolOptions, *, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.options = options
        self.listener: PoolListener | None = None
        self.policy_key = ""
        self.layers: list[list[str]] = []
        self.recycled = 0
        self.deaths: dict[str, int] = {}
        self.memory_mib: dict[int, int] = {}
        self._loop = loop
        self._clock = clock
        self._zygote: Zygote | None = None
        self._workers: dict[int, Worker] = {}
        self._ids = itertools.count(1)
        self._requested: set[int] = set()
        self._respawns = 0
        self._started_at = 0.0
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._statm: dict[int, int] = {}
        self._death_watch: asyncio.Task[None] | None = None
        self._ready_waiter: asyncio.Future[None] | None = None

    # --- Starting and stopping

    async def start(self) -> None:
        """Start the zygote and the first spares. Raises `Unavailable` if no worker can be made."""
        await self._start_zygote()
        self._timer = self._loop.call_later(TICK_S, self._tick)

    async def _start_zygote(self) -> None:
        self._started_at = self._clock.monotonic()
        zygote = Zygote(on_spare=self._spare, on_exited=self._exited, on_death=self._zygote_died)
        self._zygote = zygote
        hello = await zygote.start(is_degraded_allowed=self.options.is_degraded_allowed)
        self.policy_key, self.layers = hello.policy_key, hello.layers
        self._refill()

    async def ready(self, timeout_s: float = 10.0) -> None:
        """Wait for the first spare."""
        if not any(self._spares()):
            self._ready_waiter = self._loop.create_future()
            timer = self._loop.call_later(timeout_s, self._not_ready)
            try:
                await self._ready_waiter
            finally:
                timer.cancel()

    def _not_ready(self) -> None:
        if self._ready_waiter and not self._ready_waiter.done():
            self._ready_waiter.set_exception(
                Unavailable(
                    "no worker became ready",
                    remedy="look at the log of `engine serve` for the zygote's reason",
                )
            )

    async def stop(self) -> None:
        """End every worker and the zygote."""
        self._is_stopping = True
        if self._timer:
            self._timer.cancel()
        if self._zygote:
            await self._zygote.stop()
        for worker in list(self._workers.values()):
            self._forget(worker)
            worker.exited("zygote", 0)

    # --- Spares and slots

    def _spares(self) -> Iterator[Worker]:
        return (w for w in self._workers.values() if w.state is WorkerState.SPARE and w.is_ready)

    def bound(self) -> list[Worker]:
        """Workers that take up a slot."""
        return [worker for worker in self._workers.values() if worker.state in LIVE]

    def has_slot(self) -> bool:
        """Another worker may be bound."""
        return len(self.bound()) < self.options.workers_max

    def take_spare(self) -> Worker | None:
        """A jailed, unbound worker that the caller loads at once; None if there is none or no slot is free."""
        if not self.has_slot():
            return None
        worker = next(self._spares(), None)
        if worker is not None:
            self._loop.call_soon(self._refill)
        return worker

    def bind(self, worker: Worker, memory_mib: int) -> None:
        """Set the memory limit that the worker keeps for life. Call before `Worker.load`."""
        self.memory_mib[worker.id] = memory_mib
        worker.allow_memory(memory_mib)

    def stop_idlest(self) -> bool:
        """End the worker that has been idle longest, to free its slot; False if none is idle."""
        idle = [w for w in self._workers.values() if w.state in {WorkerState.IDLE, WorkerState.SUSPENDED}]
        if not idle:
            return False
        min(idle, key=lambda worker: worker.idle_since).stop()
        return True

    def _refill(self) -> None:
        spares = sum(1 for worker in self._workers.values() if worker.state is WorkerState.SPARE)
        missing = self.options.spares - spares - len(self._requested)
        if self._zygote is None or self._is_stopping:
            return
        for _ in range(missing):
            worker_id = next(self._ids)
            self._requested.add(worker_id)
            self._zygote.request_fork(worker_id)

    def _spare(self, fds: SpareFds) -> None:
        self._requested.discard(fds.id)
        self._workers[fds.id] = Worker(fds, loop=self._loop, clock=self._clock, pool=self)

    def _announce_spare(self) -> None:
        if self._ready_waiter and not self._ready_waiter.done():
            self._ready_waiter.set_result(None)
        if self.listener:
            self.listener.capacity_changed()

    # --- What workers and zygote report

    def became_ready(self, worker: Worker, frame: wire.Ready) -> None:
        """A spare is jailed and waits."""
        if frame.policy_key != self.policy_key:
            worker.kill("crashed", "the worker names another policy than its zygote", is_attack=True)
            return
        self._announce_spare()

    def limit_memory(self, worker: Worker, memory_mib: int) -> None:
        """Lower the worker's address space to what it has now and `memory_mib` more; remember what it had."""
        statm = self._read_statm(worker)
        if statm is None:
            return
        size_bytes, worker.baseline_bytes = statm
        limit = size_bytes + memory_mib * MIB
        with contextlib.suppress(ProcessLookupError, PermissionError):
            resource.prlimit(worker.pid, resource.RLIMIT_AS, (limit, limit))

    def _exited(self, worker_id: int, kind: str, number: int) -> None:
        worker = self._workers.get(worker_id)
        if worker is None:
            if worker_id in self._requested:
                # It couldn't be forked: try again when something has changed, not at once.
                self._requested.discard(worker_id)
                self._loop.call_later(1.0, self._refill)
            return
        self._forget(worker)
        self.deaths[f"{kind} {number}"] = self.deaths.get(f"{kind} {number}", 0) + 1
        worker.exited(kind, number)
        self._refill()
        if self.listener:
            self.listener.capacity_changed()

    def _zygote_died(self) -> None:
        if self._is_stopping:
            return
        is_young = self._clock.monotonic() - self._started_at < 10
        self._respawns = self._respawns + 1 if is_young else 0
        log.error("zygote_died", respawns=self._respawns)
        self._zygote = None
        self._requested.clear()
        workers = list(self._workers.values())
        for worker in workers:
            self._forget(worker)
        for worker in workers:
            worker.exited("zygote", 0)
        pause_s = RESPAWN_S[min(self._respawns, len(RESPAWN_S) - 1)]
        self._loop.call_later(pause_s, self._respawn)

    def _respawn(self) -> None:
        self._death_watch = self._loop.create_task(self._respawn_zygote())

    async def _respawn_zygote(self) -> None:
        try:
            await self._start_zygote()
        except Unavailable as error:
            log.error("zygote_not_started", reason=error.message)  # noqa: TRY400  the reason is the message
            self._zygote_died()

    def _forget(self, worker: Worker) -> None:
        self._workers.pop(worker.id, None)
        self.memory_mib.pop(worker.id, None)
        fd = self._statm.pop(worker.id, None)
        if fd is not None:
            os.close(fd)

    # --- Time

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self._ticks += 1
        now = self._clock.monotonic()
        is_memory_turn = self._ticks % MEMORY_EVERY_TICKS == 0
        for worker in list(self._workers.values()):
            if worker.state is WorkerState.SPARE:
                continue
            worker.check_deadline(now)
            if is_memory_turn:
                self._check_memory(worker)
                self._check_idle(worker, now)
        if self.listener:
            self.listener.tick(now)

    def _check_idle(self, worker: Worker, now: float) -> None:
        idle_s = now - worker.idle_since
        if worker.state is WorkerState.IDLE and idle_s >= self.options.suspend_after_s:
            worker.suspend()
        elif worker.state is WorkerState.SUSPENDED and idle_s >= self.options.stop_after_s:
            worker.stop()

    def _check_memory(self, worker: Worker) -> None:
        limit_mib = self.memory_mib.get(worker.id)
        if limit_mib is None or worker.state not in {WorkerState.BUSY, WorkerState.IDLE}:
            return
        statm = self._read_statm(worker)
        if statm is None:
            return
        worker.used_bytes = max(0, statm[1] - worker.baseline_bytes)
        percent = worker.used_bytes * 100 // (limit_mib * MIB)
        if percent >= 100:
            worker.kill("memory_limit", f"used more than {limit_mib} MiB")
        elif percent <= MEMORY_PERCENT_MAX:
            worker.memory_strikes = 0
        elif worker.memory_strikes == 0:
            worker.memory_strikes = 1
            worker.drop_caches()
        else:
            self.recycled += 1
            log.info(
                "worker_recycled",
                worker=worker.id,
                destination=worker.bound_to,
                used_mib=worker.used_bytes // MIB,
                age_s=round(self._clock.monotonic() - worker.bound_at, 1),
                invocations=worker.invocations,
            )
            worker.stop()

    def _read_statm(self, worker: Worker) -> tuple[int, int] | None:
        """Bytes of address space, and of anonymous memory in use. None if the process is gone.

        `statm` can be read of a process that isn't dumpable by anybody; its file stays that process's, whatever
        becomes of the number, so that a pid used again is never measured.
        """
        fd = self._statm.get(worker.id)
        try:
            if fd is None:
                fd = self._statm[worker.id] = os.open(f"/proc/{worker.pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
            size, resident, shared = os.pread(fd, 200, 0).split()[:3]
        except (OSError, ValueError):
            return None
        return int(size) * PAGE_BYTES, (int(resident) - int(shared)) * PAGE_BYTES

    # --- For whoever looks

    def describe(self) -> list[dict[str, object]]:
        """A row a worker."""
        now = self._clock.monotonic()
        return [
            {
                "id": worker.id,
                "pid": worker.pid,
                "state": str(worker.state),
                "destination": worker.bound_to,
                "in_flight": worker.in_flight,
                "invocations": worker.invocations,
                "used_mib": round(worker.used_bytes / MIB, 1),
                "age_s": round(now - worker.bound_at, 1) if worker.bound_at else 0.0,
            }
            for worker in self._workers.values()
        ]

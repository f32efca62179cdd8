"""The pool: spares ahead of need, slots, deadlines, memory, and what happens to those that have nothing to do.

The pool decides about processes; whose work they do is the dispatcher's. A worker is bound to one (destination,
version) for life.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from engine.errors import Unavailable
from engine.workers.generations import Generations, Lifetime
from engine.workers.memory import Gauge, Verdict, judge
from engine.workers.spares import Spares
from engine.workers.states import LIVE, WorkerState
from engine.workers.worker import Worker
from engine.workers.zygote import HELLO_S_MAX, Program
from sandbox.wire import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from engine.clock import Clock
    from engine.workers.layers import Proof
    from engine.workers.telling import HttpPort, PoolListener
    from engine.workers.zygote import SpareFds
    from sandbox import wire

log = structlog.get_logger()

TICK_S: Final = 0.05
STALE_S: Final = 0.15
"""A tick that comes so long after the one before came late."""
MEMORY_EVERY_TICKS: Final = 20
"""Memory is sampled once a second."""


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What the operator decides about processes."""

    spares: int = 4
    workers_max: int = 256
    suspend_after_s: float = 60.0
    stop_after_s: float = 300.0
    program: Program = field(default_factory=Program)
    """Of plain workers' zygote."""
    zygote: Lifetime = field(default_factory=Lifetime)


class Pool:
    """Owner of all workers."""

    def __init__(
        self, options: PoolOptions, *, http: HttpPort, loop: asyncio.AbstractEventLoop, clock: Clock
    ) -> None:
        self.options = options
        self.listener: PoolListener | None = None
        self.recycled = 0
        self.deaths: dict[str, int] = {}
        self.memory_mib: dict[int, int] = {}
        self.waiting = 0
        """Spares that are wanted at once, besides those that are kept."""
        self._http = http
        self._loop = loop
        self._clock = clock
        self._workers: dict[int, Worker] = {}
        self._ids = itertools.count(1)
        self._plain = self._new_spares(options.program)
        self._with_libraries: Spares | None = None
        """None until a function needs them."""
        self._ticks = 0
        self._ticked_at = 0.0
        self._was_stale = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._gauge = Gauge()
        self._waiters: list[asyncio.Future[None]] = []

    def _new_spares(self, program: Program) -> Spares:
        generations = Generations(
            self.options.zygote,
            program=program,
            events=self,
            loop=self._loop,
            clock=self._clock,
        )
        return Spares(
            generations,
            workers=self._workers,
            next_id=lambda: next(self._ids),
            wanted=lambda: self.options.spares + self.waiting,
            loop=self._loop,
        )

    def _kinds(self) -> list[Spares]:
        return [self._plain] if self._with_libraries is None else [self._plain, self._with_libraries]

    def _kind(self, libraries: Collection[str]) -> Spares:
        """Who has these libraries. Without any that are allowed it is the plain kind: there loading says what is missing."""
        program = self.options.program
        if not libraries or not program.libraries:
            return self._plain
        if self._with_libraries is None:
            if self._is_stopping:
                return self._plain
            self._with_libraries = self._new_spares(replace(program, has_libraries=True))
            self._with_libraries.generations.start_soon()
        return self._with_libraries

    # --- Starting and stopping

    async def start(self) -> None:
        """Start the zygote and the first spares. Raises `Unavailable` if no worker can be made."""
        await self._plain.generations.start()
        self._timer = self._loop.call_later(TICK_S, self._tick)

    async def ready(self, timeout_s: float = 10.0) -> None:
        """Wait for the first spare. Raises `Unavailable` if none comes."""
        async with self._in_time(timeout_s):
            while not any(self._plain.ready()):
                await self._another_spare()

    async def next_spare(self, libraries: Collection[str] = (), *, timeout_s: float = 10.0) -> Worker:
        """`take_spare`, as soon as there is one; the idlest worker makes room. Raises `Unavailable` if that takes too long."""
        is_starting = not self._kind(libraries).generations.is_serving
        async with self._in_time(timeout_s + HELLO_S_MAX * is_starting):
            while (worker := self.take_spare(libraries)) is None:
                if not self.has_slot():
                    self.stop_idlest()
                await self._another_spare()
        return worker

    @staticmethod
    @contextlib.asynccontextmanager
    async def _in_time(timeout_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError:
            raise Unavailable(
                "no worker became ready",
                remedy="try again; `engine workers` shows what they do, the daemon's log why none is forked",
            ) from None

    async def _another_spare(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    async def stop(self) -> None:
        """End every worker and zygote."""
        self._is_stopping = True
        if self._timer:
            self._timer.cancel()
        for kind in self._kinds():
            await kind.stop()
        for worker in list(self._workers.values()):
            self._forget(worker)
            worker.exited("zygote", 0)

    # --- Spares and slots

    def bound(self) -> list[Worker]:
        """Workers that take up a slot."""
        return [worker for worker in self._workers.values() if worker.state in LIVE]

    def has_slot(self) -> bool:
        """Another worker may be bound."""
        return len(self.bound()) < self.options.workers_max

    @property
    def slots_free(self) -> int:
        """Workers that may still be bound."""
        return self.options.workers_max - len(self.bound())

    def spares_ready(self, libraries: Collection[str] = ()) -> int:
        """Workers with these libraries that can be bound at once."""
        return sum(1 for _ in self._kind(libraries).ready())

    def expect(self, libraries: Collection[str]) -> None:
        """Have spares with these libraries from now on."""
        self._kind(libraries)

    def take_spare(self, libraries: Collection[str] = (), destination: int | None = None) -> Worker | None:
        """A jailed, unbound worker with these libraries, which the caller loads at once.

        None if there is none, or no slot is free: `capacity_changed` follows.
        """
        kind = self._kind(libraries)
        return kind.take() if self.has_slot() and self._http.is_ready_for(destination) else None

    def bind(self, worker: Worker, memory_mib: int, access: Any) -> None:
        """Set what the worker keeps for life: its memory limit, and the HTTP it may do. Call before `Worker.load`."""
        self.memory_mib[worker.id] = memory_mib
        size = self._gauge.measure(worker.pid)
        if size is not None:
            worker.bind(address_bytes=size.address + memory_mib * MIB, baseline_bytes=size.anonymous)
        self._http.bind(worker.id, worker.give_http(), access)

    def stop_idlest(self) -> bool:
        """End the worker that has been idle longest, to free its slot; False if none is idle."""
        idle = [w for w in self._workers.values() if w.state in {WorkerState.IDLE, WorkerState.SUSPENDED}]
        if idle:
            min(idle, key=lambda worker: worker.idle_since).stop()
        return bool(idle)

    def _refill(self) -> None:
        if not self._is_stopping:
            for kind in self._kinds():
                kind.refill()

    def _arrived(self, worker_id: int) -> None:
        for kind in self._kinds():
            kind.arrived(worker_id)

    def _announce_capacity(self) -> None:
        """A spare became ready, or a slot free."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.listener:
            self.listener.capacity_changed()

    # --- What workers and zygotes report

    def zygote_ready(self) -> None:
        """Another zygote forks from now on."""
        self._refill()

    def spare_forked(self, fds: SpareFds) -> None:
        """A worker was forked; its `Ready` follows on its pipe."""
        self._arrived(fds.id)
        self._workers[fds.id] = Worker(fds, loop=self._loop, clock=self._clock, pool=self)

    def became_ready(self, worker: Worker, frame: wire.Ready) -> None:
        """A spare is jailed and waits; or was, if that was still in its pipe when it ended."""
        zygotes = next((of.generations for of in self._kinds() if of.generations.owns(worker.id)), None)
        if zygotes is not None and frame.policy_key != zygotes.policy_key:
            worker.kill("crashed", "the worker names another policy than its zygote", is_attack=True)
            return
        self._announce_capacity()

    def worker_exited(self, worker_id: int, kind: str, number: int) -> None:
        """A worker is dead."""
        worker = self._workers.get(worker_id)
        if worker is None:
            # It couldn't be forked: try again when something has changed, not at once.
            self._arrived(worker_id)
            self._loop.call_later(1.0, self._refill)
            return
        self._forget(worker)
        self.deaths[f"{kind} {number}"] = self.deaths.get(f"{kind} {number}", 0) + 1
        worker.exited(kind, number)
        self._refill()
        self._announce_capacity()

    def workers_lost(self, worker_ids: list[int]) -> None:
        """They died with their zygote. All are forgotten first, so that none is given what another held."""
        for worker_id in worker_ids:
            self._arrived(worker_id)
        lost = [self._workers[worker_id] for worker_id in worker_ids if worker_id in self._workers]
        for worker in lost:
            self._forget(worker)
        for worker in lost:
            worker.exited("zygote", 0)

    # --- What the egress reports

    def egress_ready(self) -> None:
        """Workers can be bound."""
        self._announce_capacity()

    def egress_lost(self, worker_ids: list[int]) -> None:
        """Its process died: workers that it served can't go on, and what they hold runs again."""
        for worker_id in worker_ids:
            worker = self._workers.get(worker_id)
            if worker is not None:
                worker.kill("egress", "the process that performs HTTP for it died")

    def egress_violated(self, worker_id: int, reason: str) -> None:
        """A worker broke the protocol on its channel to the egress."""
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.kill("crashed", f"the worker broke the protocol {reason}", is_attack=True)

    def _forget(self, worker: Worker) -> None:
        self._http.unbound(worker.id)
        self._workers.pop(worker.id, None)
        self.memory_mib.pop(worker.id, None)
        self._gauge.forget(worker.pid)

    # --- Time

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self._ticks += 1
        now = self._clock.monotonic()
        is_memory_turn = self._ticks % MEMORY_EVERY_TICKS == 0
        # After a pause of our own, what workers said meanwhile is read first: it may be that none is late.
        is_stale = now - self._ticked_at > STALE_S and not self._was_stale
        self._ticked_at, self._was_stale = now, is_stale
        for worker in list(self._workers.values()):
            if not is_stale:
                worker.check_deadline(now)
            if is_memory_turn and worker.state is not WorkerState.SPARE:
                self._check_memory(worker)
                self._check_idle(worker, now)
        for kind in self._kinds():
            kind.generations.check(now, self._workers.values())
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
        size = self._gauge.measure(worker.pid)
        if size is None:
            return
        worker.used_bytes = max(0, size.anonymous - worker.baseline_bytes)
        verdict = judge(worker.used_bytes, limit_mib * MIB, were_caches_dropped=worker.were_caches_dropped)
        if verdict is Verdict.KILL:
            worker.kill("memory_limit", f"used more than {limit_mib} MiB")
        elif verdict is Verdict.FINE:
            worker.were_caches_dropped = False
        elif verdict is Verdict.DROP_CACHES:
            worker.drop_caches()
        else:
            self._recycle(worker)

    def _recycle(self, worker: Worker) -> None:
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

    @property
    def proofs(self) -> list[Proof]:
        """What the zygotes saw of the jail, each thing once."""
        return list(dict.fromkeys(proof for kind in self._kinds() for proof in kind.generations.proofs))

    @property
    def zygotes_replaced(self) -> int:
        """How often another took the place of one that was worn or old."""
        return sum(kind.generations.replaced for kind in self._kinds())

    @property
    def zygote_deaths(self) -> int:
        """How often one died that forked."""
        return sum(kind.generations.deaths for kind in self._kinds())

    @property
    def is_forking(self) -> bool:
        """No zygote is missing that there was: none of those that died still waits to be started again."""
        return not any(kind.generations.is_down for kind in self._kinds())

    def zygotes(self) -> list[dict[str, object]]:
        """A row a zygote that forks, or that still has workers."""
        return [row for kind in self._kinds() for row in kind.generations.describe()]

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

"""Zygotes, one after the other: the one that forks, its successor, and the one whose workers move off.

    start ──► current ──(forks or age)──► retiring ──(no worker left)──► stopped
                 └─────── death ──► the next one starts after a pause that grows

All workers of a zygote share its address layout and hash seed, so each zygote forks only so many of them, for only so
long. Its successor is started beside it and takes over when it is ready; nothing waits meanwhile. The old one
stays until its workers have moved off: one a tick is asked to end, and only while a newer spare is ready.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from engine.errors import Unavailable
from engine.workers import layers
from engine.workers.states import WorkerState
from engine.workers.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.clock import Clock
    from engine.workers.layers import Proof
    from engine.workers.worker import Worker
    from engine.workers.zygote import Hello, Program, SpareFds

log = structlog.get_logger()

RESPAWN_S: Final = (0.0, 0.05, 0.2, 1.0, 5.0)
"""Pauses before a zygote is started again, by how often in a row it died young."""
YOUNG_S: Final = 10.0
SUCCESSOR_RETRY_S: Final = 60.0
"""Pause after a successor that could not be started; the old zygote serves on."""
MOVE_ORDER: Final = (WorkerState.SPARE, WorkerState.SUSPENDED, WorkerState.IDLE, WorkerState.BUSY)
"""Whose leaving costs least comes first. Who is in another state is on its way already, or loads and is asked later."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a zygote is replaced: whichever comes first."""

    forks_max: int = 10_000
    age_s_max: float = 24 * 3600.0


@dataclass(slots=True, eq=False)
class Generation:
    """One zygote and the workers it has forked that aren't gone."""

    started_at: float
    zygote: Zygote | None = None
    forks: int = 0
    workers: set[int] = field(default_factory=set)
    is_dead: bool = False


class GenerationEvents(Protocol):
    """What the pool is told. Called from the event loop; must not raise."""

    def zygote_ready(self) -> None:
        """Another zygote forks from now on: ask it for spares."""

    def spare_forked(self, fds: SpareFds) -> None:
        """A worker was forked; its `Ready` follows on its pipe."""

    def worker_exited(self, worker_id: int, kind: str, number: int) -> None:
        """`exit` and a status, or `signal` and its number."""

    def workers_lost(self, worker_ids: list[int]) -> None:
        """Their zygote died, and they with it."""


class Generations:
    """Owner of every zygote."""

    def __init__(
        self,
        lifetime: Lifetime,
        *,
        program: Program,
        events: GenerationEvents,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
    ) -> None:
        self.replaced = 0
        self.deaths = 0
        self.program = program
        self.policy_key = ""
        """What the newest zygote named."""
        self.proofs: list[Proof] = []
        """Of the jail, as the newest zygote saw it."""
        self._lifetime = lifetime
        self._events = events
        self._loop = loop
        self._clock = clock
        self._current: Generation | None = None
        self._retiring: Generation | None = None
        self._of_worker: dict[int, Generation] = {}
        self._respawns = 0
        self._successor_after = 0.0
        self._starting: asyncio.Task[None] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._is_over = False

    # --- Starting and stopping

    async def start(self) -> None:
        """Start the first zygote. Raises `Unavailable` with its reason."""
        await self._take_over()

    def start_soon(self) -> None:
        """Start the first zygote, or the next after a death; if that fails, again after a pause."""
        if self._starting is None and self._current is None and not self._is_over:
            self._starting = self._loop.create_task(self._start_another())

    async def _take_over(self) -> None:
        """Start a zygote and make it the current one. Raises `Unavailable`, and then nothing has changed."""
        generation = Generation(self._clock.monotonic())
        zygote = generation.zygote = Zygote(
            on_spare=self._events.spare_forked,
            on_exited=self._exited,
            on_death=partial(self._died, generation),
        )
        try:
            hello = await zygote.start(self.program)
            layers.require(hello.proofs)
            self._check_successor(generation, hello)
        except BaseException:
            await zygote.stop()
            raise
        self.policy_key, self.proofs = hello.policy_key, hello.proofs
        if self._current is not None:
            self._retiring = self._current
            self.replaced += 1
            log.info("zygote_replaced", forks=self._retiring.forks, workers=len(self._retiring.workers))
        self._current = generation
        self._events.zygote_ready()

    def _check_successor(self, generation: Generation, hello: Hello) -> None:
        if generation.is_dead:
            raise Unavailable("the zygote died as it was started", remedy="see the log for what it printed")
        if self._current is not None and hello.policy_key != self.policy_key:
            raise Unavailable(
                "the sandbox's sources have changed under the daemon", remedy="restart it to use them"
            )

    async def stop(self) -> None:
        """End every zygote, and with them all workers."""
        self._is_over = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        for generation in (self._current, self._retiring):
            if generation is not None and generation.zygote is not None:
                await generation.zygote.stop()
        for task in list(self._stopping):
            await task

    # --- Forking

    @property
    def is_serving(self) -> bool:
        """There is a zygote to ask for spares."""
        return self._current is not None

    @property
    def is_down(self) -> bool:
        """There was a zygote, and now there is none."""
        return bool(self.policy_key) and self._current is None

    def request_fork(self, worker_id: int) -> None:
        """Ask the current zygote for a spare. Only while `is_serving`."""
        generation = self._current
        assert generation is not None
        assert generation.zygote is not None
        generation.forks += 1
        generation.workers.add(worker_id)
        self._of_worker[worker_id] = generation
        generation.zygote.request_fork(worker_id)

    def owns(self, worker_id: int) -> bool:
        """It was forked, or is to be forked, by one of these."""
        return worker_id in self._of_worker

    def is_current(self, worker_id: int) -> bool:
        """It was forked, or is to be forked, by the zygote that forks now."""
        return self._current is not None and self._of_worker.get(worker_id) is self._current

    def describe(self) -> list[dict[str, object]]:
        """A row a zygote."""
        return [
            {
                "libraries": list(self.program.libraries) if self.program.has_libraries else [],
                "retiring": generation is not self._current,
                "forks": generation.forks,
                "workers": len(generation.workers),
                "age_s": round(self._clock.monotonic() - generation.started_at, 1),
            }
            for generation in (self._current, self._retiring)
            if generation is not None
        ]

    def _exited(self, worker_id: int, kind: str, number: int) -> None:
        generation = self._of_worker.pop(worker_id, None)
        if generation is not None:
            generation.workers.discard(worker_id)
            self._events.worker_exited(worker_id, kind, number)

    # --- Replacing

    def check(self, now: float, workers: Iterable[Worker]) -> None:
        """Once a tick: start a successor when it is time, move a worker off, end a zygote that has none left."""
        current, retiring = self._current, self._retiring
        if retiring is not None:
            if not retiring.workers:
                self._retiring = None
                self._end(retiring)
            else:
                worker = self._next_to_move(workers)
                if worker is not None:
                    worker.stop()
        elif current is not None and self._starting is None and self._is_due(current, now):
            self._starting = self._loop.create_task(self._start_another())

    def _is_due(self, generation: Generation, now: float) -> bool:
        is_worn = generation.forks >= self._lifetime.forks_max
        is_old = now - generation.started_at >= self._lifetime.age_s_max
        return (is_worn or is_old) and now >= self._successor_after

    def _next_to_move(self, workers: Iterable[Worker]) -> Worker | None:
        """The worker of the old zygote that ends next; None while no newer spare is ready to follow."""
        has_spare, old = False, []
        for worker in workers:
            if not self.owns(worker.id):
                continue
            if self.is_current(worker.id):
                has_spare = has_spare or (worker.state is WorkerState.SPARE and worker.is_ready)
            elif worker.state in MOVE_ORDER and not worker.is_used_once:
                old.append(worker)
        if not has_spare or not old:
            return None
        return min(old, key=lambda worker: MOVE_ORDER.index(worker.state))

    async def _start_another(self) -> None:
        try:
            await self._take_over()
        except Unavailable as error:
            log.error("zygote_not_started", reason=error.message, remedy=error.remedy)  # noqa: TRY400  the reason is the message
            if self._current is not None:
                self._successor_after = self._clock.monotonic() + SUCCESSOR_RETRY_S
            elif not self._is_over:
                self._respawns += 1
                self._restart_later()
        finally:
            self._starting = None

    def _end(self, generation: Generation) -> None:
        assert generation.zygote is not None
        task = self._loop.create_task(generation.zygote.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    # --- Death

    def _died(self, generation: Generation) -> None:
        """Its workers died with it. If it was the one that forks, another is started."""
        generation.is_dead = True
        self.deaths += not self._is_over
        lost = [worker_id for worker_id, owner in self._of_worker.items() if owner is generation]
        is_current = generation is self._current
        if is_current:
            self._current = None
            is_young = self._clock.monotonic() - generation.started_at < YOUNG_S
            self._respawns = self._respawns + 1 if is_young else 0
        elif generation is self._retiring:
            self._retiring = None
        for worker_id in lost:
            del self._of_worker[worker_id]
        self._events.workers_lost(lost)
        if self._is_over or not is_current:
            return
        log.error("zygote_died", respawns=self._respawns, workers=len(lost))
        self._restart_later()

    def _restart_later(self) -> None:
        pause_s = RESPAWN_S[min(self._respawns, len(RESPAWN_S) - 1)]
        self._loop.call_later(pause_s, self.start_soon)

"""The egress as the supervisor sees it: started, given channels, asked for traces, and started again.

    Egress ──exec──► launcher ──fork──► process 0, 1 … (jailed)        one destination is always on the same process
              ask: fork            └── control socket ◄──► Process

The launcher has imported everything, so that a process that died is back within milliseconds. With a process go its
channels: the workers bound to them are ended, and what they held runs again, uncharged.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from engine.egress import control
from engine.egress.access import Lists, access_of
from engine.egress.processes import Launcher, Process
from engine.egress.trace import RING_KEPT_S
from engine.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.egress.access import Access
    from engine.egress.counting import Calls
    from engine.egress.options import EgressOptions
    from engine.model import Destination

log = structlog.get_logger()

START_S_MAX: Final = 20.0
RESTART_S: Final = (0.0, 0.0, 0.05, 0.2, 1.0, 5.0)
"""Pauses before a process is started again, by how often in a row one died young."""
YOUNG_S: Final = 10.0
HUNG_S_MAX: Final = 3.0
"""A process says once a second that it is alive. One that was silent for so long is ended, as if it had died."""
LOOK_EVERY_S: Final = 0.5


class EgressEvents(Protocol):
    """Whoever knows the workers."""

    def egress_ready(self) -> None:
        """Workers can be bound."""

    def egress_lost(self, worker_ids: list[int]) -> None:
        """Their channels are gone with a process."""

    def egress_violated(self, worker_id: int, reason: str) -> None:
        """The worker broke the protocol on its channel."""


def check_mocks(mocks: Sequence[dict[str, Any]]) -> None:
    """Raises `UsageError` naming one that is none."""
    from engine.egress.mocks import parse  # noqa: PLC0415  what performs HTTP comes with it, and only tests have mocks

    try:
        parse(mocks)
    except ValueError as error:
        raise UsageError(str(error), remedy="engine/docs/functions.md says what a mock is") from None


class Egress:
    """Owner of the launcher and its processes."""

    def __init__(self, options: EgressOptions, *, loop: asyncio.AbstractEventLoop) -> None:
        self.events: EgressEvents | None = None
        self.on_counted: Callable[[int, Calls], None] = lambda *_: None
        """Called with a destination and what it has called since the last time, at most once a second."""
        self.layers: list[list[str]] = []
        self.restarts = 0
        self._options = options
        self._loop = loop
        self._launcher: Launcher | None = None
        self._processes: list[Process | None] = [None] * options.processes
        self._channels: dict[int, Process] = {}
        self._deaths = 0
        self._looked_at = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._restarting: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Every process is there."""
        return self.is_ready_for(None)

    def is_ready_for(self, destination: int | None) -> bool:
        """The process of this destination is there; of None, every one."""
        asked = self._processes if destination is None else [self._processes[self._slot(destination)]]
        return all(process is not None and process.is_started for process in asked)

    def _slot(self, destination: int) -> int:
        return destination % len(self._processes)

    async def start(self) -> None:
        """Start the launcher and the processes. Raises `Unavailable` if they don't come up."""
        try:
            async with asyncio.timeout(START_S_MAX):
                await self._start()
        except (TimeoutError, OSError) as error:
            await self.stop()
            raise Unavailable(
                f"the egress process didn't start: {error or 'it took too long'}",
                remedy="see the log of `engine serve` for what it printed",
            ) from None
        self._look()

    async def _start(self) -> None:
        if self._launcher is not None and self._launcher.is_gone:
            await self._launcher.stop()
            self._launcher = None
        if self._launcher is None:
            self._launcher = await Launcher.start(self._options.ca_file)
        for slot, process in enumerate(self._processes):
            if process is None:
                self._processes[slot] = Process(slot, self._launcher, self._loop, self)
        await asyncio.gather(*(process.started for process in self._processes if process is not None))

    async def stop(self) -> None:
        """End everything."""
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._restarting is not None:
            self._restarting.cancel()
        for process in self._processes:
            if process is not None:
                process.close()
        if self._launcher is not None:
            await self._launcher.stop()

    def configure(self, options: EgressOptions) -> None:
        """The operator's lists, anew; the number of processes and their certificates stay as they are."""
        self._options = options
        for process in self._processes:
            if process is not None:
                process.send(self._configuration())

    def _configuration(self) -> control.Configure:
        options = self._options
        return control.Configure(
            list(options.lists.allow),
            list(options.lists.deny),
            list(options.secret_headers),
            options.source_address,
        )

    # --- For the pool and the dispatcher

    def access_for(self, destination: Destination, settings: bytes) -> Access:
        """What a worker of it may do, whose settings are opened (a msgpack map)."""
        return access_of(
            destination.id,
            settings=settings,
            sealed=frozenset(value.name for value in destination.values if value.is_sealed),
            limits=destination.limits,
            is_batching=destination.version.is_batching,
            lists=self._options.lists_for.get(destination.name, Lists()),
        )

    def bind(self, worker_id: int, fds: tuple[int, int], access: Access) -> None:
        """Hand over a worker's pipe ends; they are closed here. Call only while `is_ready_for` it."""
        process = self._processes[self._slot(access.destination)]
        assert process is not None
        self._channels[worker_id] = process
        process.send(
            control.Bind(
                worker_id,
                access.destination,
                list(access.lists.allow),
                list(access.lists.deny),
                list(access.secrets),
                access.timeout_ms,
                access.fetches_max,
                access.trace_body_bytes,
                access.is_blanked,
                list(access.mocks) if access.mocks is not None else None,
            ),
            fds,
        )

    def mock(self, worker_id: int, mocks: Sequence[dict[str, Any]]) -> None:
        """Answer this worker from `mocks` from now on. Raises `UsageError` naming one that is none."""
        check_mocks(mocks)
        process = self._channels.get(worker_id)
        if process is not None:
            process.send(control.Mock(worker_id, list(mocks)))

    def unbound(self, worker_id: int) -> None:
        """The worker is gone. Its process noticed by itself, and keeps the traces a while."""
        if worker_id in self._channels:
            self._loop.call_later(RING_KEPT_S, self._channels.pop, worker_id, None)

    def pull(
        self, worker_id: int, invocations: Sequence[int], then: Callable[[dict[int, list[Any]]], None]
    ) -> None:
        """Call `then`, soon, with what is known of these invocations' fetches: invocation → traces, oldest first."""
        process = self._channels.get(worker_id)
        if process is None:
            self._loop.call_soon(then, {})
        else:
            process.pull(worker_id, invocations, then)

    # --- What processes report

    def process_started(self, process: Process, layers: list[list[str]]) -> None:
        """It is jailed and takes channels."""
        self.layers = layers
        process.send(self._configuration())
        if self.events is not None:
            self.events.egress_ready()

    def _look(self) -> None:
        """Is each of them alive?"""
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        now = self._loop.time()
        # After a pause of our own, what was said meanwhile is read first.
        is_stale, self._looked_at = now - self._looked_at > 2 * LOOK_EVERY_S, now
        for process in self._processes:
            if process is None or not process.is_started:
                continue
            if is_stale:
                process.heard_at = now
            elif now - process.heard_at > HUNG_S_MAX:
                log.error("egress_hung", slot=process.slot, silent_s=round(now - process.heard_at, 1))
                process.close()
                self.process_died(process)

    def process_died(self, process: Process) -> None:
        """Its channels are gone; another is started."""
        if self._is_stopping or self._processes[process.slot] is not process:
            return
        lost = [worker_id for worker_id, owner in self._channels.items() if owner is process]
        self._processes[process.slot] = None
        self.restarts += 1
        self._deaths = self._deaths + 1 if self._loop.time() - process.started_at < YOUNG_S else 0
        log.error("egress_died", slot=process.slot, workers=len(lost), restarts=self.restarts)
        for worker_id in lost:
            del self._channels[worker_id]
        if self.events is not None:
            self.events.egress_lost(lost)
        if self._restarting is None:
            self._restarting = self._loop.create_task(self._restart())

    async def _restart(self) -> None:
        """Until every process is there."""
        while not self.is_ready:
            await asyncio.sleep(RESTART_S[min(self._deaths, len(RESTART_S) - 1)])
            try:
                async with asyncio.timeout(START_S_MAX):
                    await self._start()
            except (TimeoutError, OSError) as error:
                reason = str(error) or "it took too long"
                log.error("egress_not_started", reason=reason)  # noqa: TRY400  the reason is the message
                self._deaths += 1
                await self._drop_unstarted()
        self._restarting = None

    async def _drop_unstarted(self) -> None:
        is_launcher_stuck = False
        for slot, process in enumerate(self._processes):
            if process is not None and not process.is_started:
                is_launcher_stuck = is_launcher_stuck or not process.is_forked
                process.close()
                self._processes[slot] = None
        if is_launcher_stuck and self._launcher is not None:
            # It forks no more: another is started, although the processes that are well end with it.
            await self._launcher.stop()
            self._launcher = None

    def counted(self, destination: int, calls: Calls) -> None:
        """What it has called since the last time; what functions call that are only tried out is nobody's."""
        if destination > 0:
            self.on_counted(destination, calls)

    def violated(self, worker_id: int, reason: str) -> None:
        """A worker broke the protocol."""
        if worker_id in self._channels and self.events is not None:
            self.events.egress_violated(worker_id, reason)

"""The egress as the supervisor sees it: started, given channels, asked for traces, and started again.

    Egress ──► Slot 0, 1 … ──► its process        one destination is always in the same slot

With a process go its channels: the workers bound to them are ended, and what they held runs again, uncharged.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from engine.egress import control
from engine.egress.access import Lists, access_of
from engine.egress.slot import Slot
from engine.egress.trace import RING_KEPT_S
from engine.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.egress.access import Access
    from engine.egress.control import MockAnswer
    from engine.egress.counting import Calls
    from engine.egress.options import EgressOptions
    from engine.egress.processes import Process
    from engine.model import Destination

log = structlog.get_logger()

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


def read_mocks(mocks: Sequence[dict[str, Any]]) -> list[MockAnswer]:
    """As an egress process takes them. Raises `UsageError` naming one that is none."""
    from engine.egress import mocking  # noqa: PLC0415  httpx comes with it, and only tests have mocks

    try:
        return mocking.read(mocks)
    except ValueError as error:
        raise UsageError(str(error), remedy="engine/docs/functions.md says what a mock is") from None


def silent_since(heard_at: float, looked_at: float, now: float) -> float:
    """When a process was heard last, less the time in which nobody looked: what was said then is read after this.

    Each look counts for `LOOK_EVERY_S` at most, so that a supervisor that is always late finds what hangs, too.
    """
    return min(now, heard_at + max(0.0, now - looked_at - LOOK_EVERY_S))


class Egress:
    """Owner of the slots, and of who is where."""

    def __init__(self, options: EgressOptions, *, loop: asyncio.AbstractEventLoop) -> None:
        self.events: EgressEvents | None = None
        self.on_counted: Callable[[int, Calls], None] = lambda *_: None
        """Called with a destination and what it has called since the last time, at most once a second."""
        self.layers: list[list[str]] = []
        self.restarts = 0
        self._options = options
        self._loop = loop
        self._slots = [
            Slot(number, options.ca_file, loop=loop, events=self) for number in range(options.processes)
        ]
        self._channels: dict[int, Process] = {}
        self._looked_at = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False

    @property
    def is_ready(self) -> bool:
        """Every process is there."""
        return self.is_ready_for(None)

    def is_ready_for(self, destination: int | None) -> bool:
        """The process of this destination is there; of None, every one."""
        asked = self._slots if destination is None else [self._slot(destination)]
        return all(slot.is_ready for slot in asked)

    def _slot(self, destination: int) -> Slot:
        return self._slots[destination % len(self._slots)]

    def _processes(self) -> Iterator[Process]:
        return (slot.process for slot in self._slots if slot.process is not None)

    async def start(self) -> None:
        """Start the processes. Raises `Unavailable` if they don't all come up; then none is left."""
        answers = await asyncio.gather(*(slot.start() for slot in self._slots), return_exceptions=True)
        for error in answers:
            if error is None:
                continue
            await self.stop()
            if not isinstance(error, OSError):
                raise error
            raise Unavailable(
                f"the egress process didn't start: {str(error) or 'it took too long'}",
                remedy="see the log of `engine serve` for what it printed",
            ) from None
        self._look()

    async def stop(self) -> None:
        """End everything."""
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*(slot.stop() for slot in self._slots))

    def configure(self, options: EgressOptions) -> None:
        """The operator's lists, anew; the number of processes and their certificates stay as they are."""
        self._options = options
        for process in self._processes():
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
        process = self._slot(access.destination).process
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
                read_mocks(access.mocks) if access.mocks is not None else None,
            ),
            fds,
        )

    def mock(self, worker_id: int, mocks: Sequence[dict[str, Any]]) -> None:
        """Answer this worker from `mocks` from now on. Raises `UsageError` naming one that is none."""
        rows = read_mocks(mocks)
        process = self._channels.get(worker_id)
        if process is not None:
            process.send(control.Mock(worker_id, rows))

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
        looked_at, self._looked_at = self._looked_at, self._loop.time()
        now = self._looked_at
        for process in self._processes():
            process.heard_at = silent_since(process.heard_at, looked_at, now)
            if process.is_started and now - process.heard_at > HUNG_S_MAX:
                log.error("egress_hung", slot=process.slot, silent_s=round(now - process.heard_at, 1))
                process.close()
                self.process_died(process)

    def process_died(self, process: Process) -> None:
        """Its channels are gone; another is started."""
        slot = self._slots[process.slot]
        if self._is_stopping or slot.process is not process:
            return
        lost = [worker_id for worker_id, owner in self._channels.items() if owner is process]
        self.restarts += 1
        slot.restart()
        log.error("egress_died", slot=process.slot, workers=len(lost), restarts=self.restarts)
        for worker_id in lost:
            del self._channels[worker_id]
        if self.events is not None:
            self.events.egress_lost(lost)

    def counted(self, destination: int, calls: Calls) -> None:
        """What it has called since the last time; what functions call that are only tried out is nobody's."""
        if destination > 0:
            self.on_counted(destination, calls)

    def violated(self, worker_id: int, reason: str) -> None:
        """A worker broke the protocol."""
        if worker_id in self._channels and self.events is not None:
            self.events.egress_violated(worker_id, reason)

"""Handlers of a module with an `async def`: a fixed set of runners, each of which takes the next event when it is free.

A handler that never waits costs no task of its own.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from sandbox import wire
from sandbox.fetch_wire import fetches_max
from sandbox.runtime.context import CURRENT, Invocation
from sandbox.runtime.ending import child_task, end_again, end_task, is_over, revive_task
from sandbox.runtime.errors import DeadlineExceeded, EventNotSupported
from sandbox.runtime.fetch import check_awaited
from sandbox.runtime.settings import Settings, retire
from sandbox.worker.plain import batch_callback, read_batch
from sandbox.worker.reading import bodies_of, read_event
from sandbox.worker.ticker import TICK_S, too_long

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.runtime.channel import Channel
    from sandbox.worker.loading import Module
    from sandbox.worker.report import Report
    from sandbox.worker.ticker import Ticker


class Item(NamedTuple):
    """An event, or the events of a batch, waiting for a runner."""

    sequence: int
    """Of a batch: that of its first event."""
    is_verbose: bool
    event: tuple[bytes, int, str, str]
    """Arguments of `read_event`."""
    batch: wire.Invoke | None
    numbers: list[int]
    """What is reported: of a batch, once they are read, those that could be."""


class Runners:
    """Owner of a module's runners and of the events that wait for one."""

    def __init__(
        self,
        module: Module,
        report: Report,
        *,
        ticker: Ticker,
        page: memoryview,
        loop: asyncio.AbstractEventLoop,
        channel: Channel,
        ended: Callable[[], None],
    ) -> None:
        """`ended` is called when nothing is left to do."""
        self._module = module
        self._report = report
        self._ticker = ticker
        self._page = page
        self._loop = loop
        self._channel = channel
        self._ended = ended
        self._queue: deque[Item] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._in_flight = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._invocations = [
            Invocation(is_async=True, console_bytes=module.console_bytes) for _ in range(module.concurrency)
        ]
        loop.set_task_factory(child_task)
        for invocation in self._invocations:
            invocation.task = loop.create_task(self._run_on(invocation))

    @property
    def is_busy(self) -> bool:
        """Something runs or waits."""
        return bool(self._in_flight or self._queue)

    def take(self, frame: wire.Invoke) -> None:
        """Queue a frame's events."""
        is_verbose = bool(frame.flags & wire.INVOKE_VERBOSE)
        if frame.flags & wire.INVOKE_BATCH:
            numbers = list(range(frame.first, frame.first + len(frame.sizes)))
            self._queue.append(Item(frame.first, is_verbose, (b"", 0, "", ""), frame, numbers))
        else:
            for sequence, event in enumerate(bodies_of(frame), frame.first):
                self._queue.append(Item(sequence, is_verbose, event, None, [sequence]))
        if self._sweeper is None:
            self._ticker.start(self._look, self._module.filename)
            self._sweeper = self._loop.call_later(TICK_S, self._sweep)
        for _ in range(min(len(self._queue), len(self._idle))):
            self._idle.pop().set_result(None)

    async def stop(self) -> None:
        """End the runners; none of them has anything to do."""
        tasks = [invocation.task for invocation in self._invocations if invocation.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    def _look(self, now: float) -> str:
        """A tick: send what has ended; say so if the invocation whose code runs at this moment is late."""
        self._report.flush()
        if is_over():
            return "its invocation is over"
        invocation = CURRENT.get()
        is_late = invocation is not None and invocation.is_active and self._is_late(invocation, now)
        return too_long(self._module.timeout_s) if is_late else ""

    def _sweep(self) -> None:
        """Every 10 ms while there is work: cancel those that wait past their deadline."""
        self._report.flush()
        if not end_again() and not self.is_busy:
            self._sweeper = None
            self._ticker.stop()
            self._ended()
            return
        now = time.monotonic()
        for invocation in self._invocations:
            if invocation.is_active and self._is_late(invocation, now) and invocation.task is not None:
                end_task(invocation.task)
        self._sweeper = self._loop.call_later(TICK_S, self._sweep)

    def _is_late(self, invocation: Invocation, now: float) -> bool:
        return now - invocation.started > self._module.timeout_s

    def memory_ran_out(self) -> NoReturn:
        """See `Report.memory_ran_out`."""
        self._report.make_room()
        running = [
            (invocation.numbers, invocation) for invocation in self._invocations if invocation.is_active
        ]
        self._report.memory_ran_out(running)

    async def _run_on(self, invocation: Invocation) -> None:
        try:
            await self._run(invocation)
        except MemoryError:
            self.memory_ran_out()

    async def _run(self, invocation: Invocation) -> None:
        """One runner: take the next event, run its handler, report; for as long as the module is loaded."""
        CURRENT.set(invocation)
        task, queue, values = invocation.task, self._queue, self._module.settings
        assert task is not None
        settings = Settings(values)
        kept = sys.getrefcount(settings)
        while True:
            while not queue:
                if not self._in_flight:
                    self._report.flush()
                waiter = self._loop.create_future()
                self._idle.append(waiter)
                await waiter
            item = queue.popleft()
            self._in_flight += 1
            invocation.started = time.monotonic()
            invocation.numbers = item.numbers
            invocation.is_active = True
            invocation.sequence, invocation.fetches = item.sequence, 0
            invocation.responses = [] if item.is_verbose else None
            self._page[0] = item.sequence
            try:
                await self._run_item(item, settings, invocation)
            except BaseException as error:  # noqa: BLE001  a handler may raise anything
                invocation.is_active = False
                self._report.failed(
                    item.numbers, invocation, self._as_deadline(error, invocation), invocation.started
                )
            invocation.is_active = False
            if task.cancelling() or is_over():
                revive_task(task)
            if sys.getrefcount(settings) > kept:  # somebody kept it
                retire(settings)
                settings = Settings(values)
            self._in_flight -= 1
            if invocation.children:
                _end_children(invocation)
            if invocation.fetches or invocation.unawaited:
                invocation.unawaited.clear()
                self._channel.end(invocation)

    async def _run_item(self, item: Item, settings: Settings, invocation: Invocation) -> None:
        begun = invocation.started
        judge = self._module.filter
        events: Any
        if item.batch is not None:
            events, sequences = read_batch(item.batch, judge, self._report, invocation)
            item.numbers[:] = sequences
            if not events:
                return
            callback = batch_callback(self._module)
        else:
            events = read_event(*item.event)
            if judge is not None and not judge.passes(events, item.event[0]):
                self._report.filtered(item.sequence)
                return
            type_index = item.event[1]
            single = self._module.by_type[type_index]
            if single is None:
                raise EventNotSupported(f"no handler for {wire.EVENT_TYPES[type_index]} events")
            callback = single
        invocation.is_async = callback.is_async
        invocation.fetches_max = fetches_max(len(events) if item.batch is not None else 0)
        result = callback.call(events, settings) if callback.takes_settings else callback.call(events)
        if callback.is_async:
            result = await result
            check_awaited(invocation)
        if item.batch is not None:
            self._report.batch(item.numbers, invocation, result, begun, in_full=item.is_verbose)
        elif item.is_verbose:
            self._report.delivered_in_full(item.sequence, invocation, result, begun)
        else:
            if invocation.logs or invocation.dropped_bytes:
                invocation.take_logs()
            self._report.delivered_one(item.sequence)

    def _as_deadline(self, error: BaseException, invocation: Invocation) -> BaseException:
        """A runner that was cancelled because its invocation is late goes on with the next one."""
        if not isinstance(error, asyncio.CancelledError) or not self._is_late(invocation, time.monotonic()):
            return error
        return DeadlineExceeded(too_long(self._module.timeout_s)).with_traceback(error.__traceback__)


def _end_children(invocation: Invocation) -> None:
    for child in list(invocation.children):
        end_task(child)
    invocation.children.clear()

"""`def` handlers: one event after the other, and nothing done an event that isn't for the event.

Frames that wait for each other run on: what has ended is sent every few milliseconds, and when nothing waits any more.
Which event runs is stored in the page shared with the supervisor. Those before it that aren't reported yet were
delivered: only what failed costs a row.
"""

from __future__ import annotations

import sys
import time
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sandbox import wire
from sandbox.fetch_wire import fetches_max
from sandbox.runtime.errors import EventNotSupported, InvalidEventPayload
from sandbox.runtime.settings import Settings, retire
from sandbox.worker.reading import bodies_of, read_event
from sandbox.worker.ticker import too_long

if TYPE_CHECKING:
    from sandbox.filters import Filter
    from sandbox.runtime.context import Invocation
    from sandbox.runtime.handler import Callback
    from sandbox.worker.loading import Module
    from sandbox.worker.report import Report
    from sandbox.worker.ticker import Ticker

SEND_S: Final = 0.002
"""At the end of a frame, what has ended is sent if so long nothing was: each time wakes the supervisor."""
_NOT_AWAITED: Final = "the handler returned a coroutine that nobody awaits; make it `async def` and await it"


class PlainLoop:
    """Runs the events of a frame to their end before the next frame is read."""

    def __init__(
        self, module: Module, report: Report, *, ticker: Ticker, page: memoryview, invocation: Invocation
    ) -> None:
        self._module = module
        self._report = report
        self._ticker = ticker
        self._page = page
        self._invocation = invocation
        # Numbers from here up to the one that runs were delivered and aren't reported.
        self._unreported = 1
        self._seen = 0
        self._seen_at = 0.0
        self._spent_at = 0.0
        self._sent_at = 0.0
        self._is_ticking = False

    def run(self, frame: wire.Invoke) -> None:
        """Run all of a frame, and report it unless more is to come: then `rest` follows. If memory runs out for good, the worker ends."""
        try:
            self._run(frame)
        except MemoryError:
            # The interpreter needs memory to enter a handler, but in a function as short as this one.
            self._memory_ran_out(frame)

    def _run(self, frame: wire.Invoke) -> None:
        with self._ticker.hold:
            self._unreported = frame.first
            self._seen, self._seen_at = 0, time.monotonic()
            self._spent_at = self._seen_at
        if not self._is_ticking:
            self._is_ticking = True
            self._ticker.start(self._look, self._module.filename)
        is_batch = bool(frame.flags & wire.INVOKE_BATCH)
        self._invocation.fetches_max = fetches_max(len(frame.sizes) if is_batch else 0)
        self._invocation.is_active = True
        try:
            if is_batch:
                self._run_batch(frame)
            else:
                self._run_events(frame)
        finally:
            self._invocation.is_active = False
        with self._ticker.hold:
            self._close_range(frame.first + len(frame.sizes))
            now = time.monotonic()
            self._tell_spent(now)
            if now - self._sent_at >= SEND_S:
                self._sent_at = now
                self._report.flush()

    def rest(self) -> None:
        """Nothing more waits: send what has ended."""
        if self._is_ticking:
            self._is_ticking = False
            self._ticker.stop()
            self._report.flush()

    def _tell_spent(self, now: float) -> None:
        """Handlers ran since this was told last; what the worker waits for its supervisor isn't their time."""
        self._page[1] += int((now - self._spent_at) * 1e6)
        self._spent_at = now

    def _run_events(self, frame: wire.Invoke) -> None:
        page, by_type, values, invocation, judge = (
            self._page,
            self._module.by_type,
            self._module.settings,
            self._invocation,
            self._module.filter,
        )
        is_verbose = bool(frame.flags & wire.INVOKE_VERBOSE)
        begun = 0.0
        settings = Settings(values)
        kept = sys.getrefcount(settings)
        sequence = frame.first - 1
        for body, type_index, message_id, user_key in bodies_of(frame):
            sequence += 1
            page[0] = sequence
            if is_verbose:
                begun = time.monotonic()
                invocation.watch(is_watched=True)
            try:
                event = read_event(body, type_index, message_id, user_key)
                if judge is not None and not judge.passes(event, body):
                    self._filtered(sequence)
                    continue
                callback = by_type[type_index]
                if callback is None:
                    raise EventNotSupported(f"no handler for {wire.EVENT_TYPES[type_index]} events")  # noqa: TRY301  one way out
                result = callback.call(event, settings) if callback.takes_settings else callback.call(event)
                if type(result) is CoroutineType:
                    _refuse_coroutine(result)
                if is_verbose:
                    self._end_in_full(sequence, result, begun)
                elif invocation.logs or invocation.dropped_bytes:
                    invocation.take_logs()
            except BaseException as error:  # noqa: BLE001  a handler may raise anything
                self._fail(sequence, error, begun)
            if sys.getrefcount(settings) > kept:
                retire(settings)
                settings = Settings(values)

    def _memory_ran_out(self, frame: wire.Invoke) -> NoReturn:
        self._report.make_room()
        first = self._page[0]
        is_batch = bool(frame.flags & wire.INVOKE_BATCH)
        running = range(first, first + len(frame.sizes)) if is_batch else [first]
        self._close_range(first)
        self._report.memory_ran_out([(running, self._invocation)])

    def _end_in_full(self, sequence: int, result: Any, begun: float) -> None:
        with self._ticker.hold:
            self._close_range(sequence)
            self._unreported = sequence + 1
            self._report.delivered_in_full(sequence, self._invocation, result, begun)

    def _fail(self, sequence: int, error: BaseException, begun: float) -> None:
        # Held first: a tick in here must neither report this event as delivered nor raise again.
        with self._ticker.hold:
            self._close_range(sequence)
            self._unreported = sequence + 1
            self._report.failed([sequence], self._invocation, error, begun or time.monotonic())

    def _filtered(self, sequence: int) -> None:
        with self._ticker.hold:
            self._close_range(sequence)
            self._unreported = sequence + 1
            self._report.filtered(sequence)

    def _run_batch(self, frame: wire.Invoke) -> None:
        self._page[0] = frame.first
        begun = time.monotonic()
        self._invocation.watch(is_watched=bool(frame.flags & wire.INVOKE_VERBOSE))
        settings = Settings(self._module.settings)
        sequences = list(range(frame.first, frame.first + len(frame.sizes)))
        try:
            events, sequences = read_batch(frame, self._module.filter, self._report, self._invocation)
            if events:
                callback = batch_callback(self._module)
                result = callback.call(events, settings) if callback.takes_settings else callback.call(events)
                if type(result) is CoroutineType:
                    _refuse_coroutine(result)
                is_verbose = bool(frame.flags & wire.INVOKE_VERBOSE)
                self._report.batch(sequences, self._invocation, result, begun, in_full=is_verbose)
        except BaseException as error:  # noqa: BLE001  a handler may raise anything
            self._report.failed(sequences, self._invocation, error, begun)
        self._unreported = frame.first + len(frame.sizes)
        retire(settings)

    def _close_range(self, end: int) -> None:
        if end > self._unreported:
            self._report.delivered(self._unreported, end - self._unreported)
            self._unreported = end

    def _look(self, now: float) -> str:
        """A tick: send what has ended; say so if the event that runs is late."""
        index = self._page[0]
        self._close_range(index)
        self._tell_spent(now)
        self._sent_at = now
        self._report.flush()
        if index != self._seen:
            self._seen, self._seen_at = index, now
            return ""
        return too_long(self._module.timeout_s) if now - self._seen_at > self._module.timeout_s else ""


def batch_callback(module: Module) -> Callback:
    """The batch handler. Raises `EventNotSupported` if there is none."""
    callback = module.callbacks.get("batch")
    if callback is None:
        raise EventNotSupported("no handler for batches")
    return callback


def read_batch(
    frame: wire.Invoke, judge: Filter | None, report: Report, invocation: Invocation
) -> tuple[list[Any], list[int]]:
    """The events of a batch and their numbers; those that can't be read, or are filtered, are reported here, alone.

    Raises `MemoryError` before it has reported any.
    """
    events, sequences, filtered, unreadable = [], [], [], []
    for sequence, arguments in enumerate(bodies_of(frame), frame.first):
        try:
            event = read_event(*arguments)
        except InvalidEventPayload as error:
            unreadable.append((sequence, error))
            continue
        if judge is not None and not judge.passes(event, arguments[0]):
            filtered.append(sequence)
        else:
            events.append(event)
            sequences.append(sequence)
    for sequence in filtered:
        report.filtered(sequence)
    for sequence, reason in unreadable:
        report.failed([sequence], invocation, reason, time.monotonic())
    return events, sequences


def _refuse_coroutine(coroutine: CoroutineType[Any, Any, Any]) -> None:
    coroutine.close()
    raise TypeError(_NOT_AWAITED)

"""The worker's loop: frame in, handlers, frame out.

    Load ─► compile or unmarshal ─► module ─► handlers        Invoke ─► an event at a time ─► Outcomes

A module with only `def` handlers is run by a plain loop; with an `async def` handler, by asyncio and a fixed set of
runners, each of which takes the next event when it is free: a handler that never waits costs no task of its own.

No system call an event: which event runs is stored in the page shared with the supervisor; a timer that ticks every
10 ms, armed only while there is work, sends what has ended and looks for invocations past their deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections import deque
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

import msgpack

from sandbox import wire
from sandbox.compiler import POLICY_KEY, CompileRefused, compile_source, execute
from sandbox.runtime import cache as caches
from sandbox.runtime import console, handler
from sandbox.runtime.context import CURRENT, Invocation
from sandbox.runtime.errors import (
    DeadlineExceeded,
    DropEvent,
    EventNotSupported,
    InvalidEventPayload,
    RetryError,
    ValidationError,
)
from sandbox.runtime.fetch import fetch
from sandbox.runtime.settings import Settings, retire

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

TICK_S: Final = 0.01
READ_BYTES: Final = 256 * 1024
OUTCOME_BYTES_MAX: Final = 512 * 1024
_TYPES: Final = wire.EVENT_TYPES
_NOT_AWAITED: Final = "the handler returned a coroutine that nobody awaits; make it `async def` and await it"
_DELIVERED: Final = wire.CODE_INDEX["delivered"]


_WARM_UP: Final = compile_source(
    "def on_track(event, settings):\n"
    "    name = f'{settings.prefix}.{event[\"type\"]}'\n"
    "    return {name: {key: value for key, value in event.get('properties', {}).items() if value is not None}}\n",
    "warm_up.py",
)


class Item(NamedTuple):
    """An event, or the events of a batch, waiting for a runner."""

    sequence: int
    flags: int
    columns: wire.Events
    at: int
    """Place in the columns; -1 for all of them as one batch."""
    body: bytes
    sequences: list[int]
    """Of a batch: those whose events could be read."""


class Worker:
    """Owner of the pipes, the page and, once loaded, the module."""

    def __init__(
        self, read_fd: int, write_fd: int, page: memoryview, *, trim: Callable[[int], int] | None = None
    ) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._started = page[: wire.PAGE_BYTES].cast("Q")
        self._trim = trim
        self._frames = wire.FrameBuffer(wire.TO_WORKER_BYTES_MAX)
        self._cache = caches.Cache()
        self._callbacks: dict[str, handler.Callback] = {}
        self._by_type: list[handler.Callback | None] = []
        self._settings: dict[str, Any] = {}
        self._filename = "function.py"
        self._timeout_s = 5.0
        self._concurrency = 1
        self._invocation = Invocation(is_async=False, console_bytes=wire.CONSOLE_BYTES_MAX)
        self._module: dict[str, object] = {}
        self._is_loading = False
        self._is_busy = False
        self._locked = False
        self._is_stopping = False
        # Sequences from `_range_first` up to the one that runs were delivered and aren't reported.
        self._range_first = 1
        self._ranges: list[tuple[int, int]] = []
        self._done: list[int] = []
        self._failures: list[wire.Failure] = []
        self._failure_bytes = 0
        self._tick_index = 0
        self._tick_since = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[Item] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._runners: list[Invocation] = []
        self._runner_tasks: list[asyncio.Task[None]] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._in_flight = 0

    # --- Frames

    def serve(self, loop: asyncio.AbstractEventLoop) -> NoReturn:
        """Run until the supervisor says stop or is gone. `loop` was made after the fork and isn't running."""
        self._loop = loop
        CURRENT.set(self._invocation)
        signal.signal(signal.SIGALRM, self._tick)
        self._warm_up()
        self._send(wire.Ready(POLICY_KEY))
        while True:
            self._serve_plain()
            if self._is_stopping:
                self._exit(0)
            loop.run_until_complete(self._serve_async())

    def _warm_up(self) -> None:
        """Run a small function once, so that the pages it takes are this process's own before an event waits for them.

        Without a full collection: that alone would copy 0.7 MiB of the zygote's memory.
        """
        module = execute(_WARM_UP, scope=self._scope())
        callbacks, table = handler.find_handlers(module)
        event = msgpack.unpackb(msgpack.packb({"type": "track", "properties": {"a": 1.5, "b": None}}))
        settings = Settings({"prefix": "a"})
        callbacks["track"].call(event, settings)
        retire(settings)
        wire.pack_handlers(table)
        wire.decode_to_worker(wire.Invoke(1, 0, b"\x01", [""], [""], [1], b"\x80").pack()[wire.LENGTH.size :])
        wire.pack_outcomes([(1, 1)], []).pack()
        self._arm()
        self._disarm()

    def _serve_plain(self) -> None:
        os.set_blocking(self._read_fd, True)
        while not self._is_async() and not self._is_stopping:
            data = os.read(self._read_fd, READ_BYTES)
            if not data:
                self._exit(0)
            frames = list(self._frames.feed(data))
            for at, body in enumerate(frames):
                frame = wire.decode_to_worker(body)
                if isinstance(frame, wire.Invoke) and not self._is_async():
                    self._run_frame(frame)
                else:
                    self._control(frame)
                    if self._is_async():
                        for later in frames[at + 1 :]:
                            self._take_async(wire.decode_to_worker(later))
                        break

    def _is_async(self) -> bool:
        return bool(self._runners)

    def _control(self, frame: wire.Frame) -> None:
        if isinstance(frame, wire.Load):
            self._load(frame)
        elif isinstance(frame, wire.Suspend):
            self._suspend()
        elif isinstance(frame, wire.DropCaches):
            caches.clear(self._cache)
            self._return_memory()
        elif isinstance(frame, wire.Stop):
            self._is_stopping = True

    def _send(self, frame: wire.Frame) -> None:
        view = memoryview(frame.pack())
        while view:
            try:
                view = view[os.write(self._write_fd, view) :]
            except BrokenPipeError:
                self._exit(0)

    @staticmethod
    def _exit(status: int) -> NoReturn:
        os._exit(status)

    # --- Loading and forgetting

    def _load(self, frame: wire.Load) -> None:
        self._settings = msgpack.unpackb(frame.settings)
        self._timeout_s = frame.timeout_ms / 1000
        self._concurrency = frame.concurrency
        self._filename = frame.filename
        invocation = Invocation(is_async=False, console_bytes=frame.console_bytes)
        self._invocation = invocation
        CURRENT.set(invocation)
        compiled: bytes | None = None
        try:
            if frame.source is not None:
                compiled = compile_source(frame.source, frame.filename)
            code = frame.code if frame.code is not None else compiled
            assert code is not None
            self._is_loading = True
            self._arm()
            try:
                self._module = execute(code, scope=self._scope())
            finally:
                self._is_loading = False
                self._disarm()
            self._callbacks, table = handler.find_handlers(self._module)
        except CompileRefused as refusal:
            self._refuse("compile", {"diagnostics": [item.as_map() for item in refusal.diagnostics]})
        except handler.HandlersRefused as refusal:
            self._refuse("handlers", {"diagnostics": refusal.problems})
        except BaseException as error:  # noqa: BLE001  a module may raise anything while it is loaded
            detail = handler.describe(error, "load_failed", self._filename)
            self._refuse("load", {"error": detail, "logs": invocation.take_logs()[0]})
        self._by_type = [self._callbacks.get(name) for name in _TYPES]
        logs: bytes = msgpack.packb(invocation.take_logs()[0][:1000], unicode_errors="replace")
        if any(callback.is_async for callback in self._callbacks.values()):
            self._start_runners(frame)
        self._send(wire.Loaded(compiled, wire.pack_handlers(table), logs))

    def _refuse(self, stage: str, detail: dict[str, Any]) -> NoReturn:
        if "diagnostics" in detail:
            detail["diagnostics"] = detail["diagnostics"][:100]
        self._send(wire.Refused(stage, msgpack.packb(detail, unicode_errors="replace")))
        self._exit(0)

    def _scope(self) -> dict[str, object]:
        """The names a module has without importing them."""
        return {
            "fetch": fetch,
            "cache": self._cache,
            "console": console.Console(),
            "print": console.print_line,
            "EventNotSupported": EventNotSupported,
            "InvalidEventPayload": InvalidEventPayload,
            "ValidationError": ValidationError,
            "RetryError": RetryError,
            "DropEvent": DropEvent,
        }

    def _suspend(self) -> None:
        self._stop_runners()
        self._module.clear()
        self._module, self._callbacks, self._by_type, self._settings = {}, {}, [], {}
        caches.clear(self._cache)
        self._return_memory()
        self._send(wire.Suspended())

    def _return_memory(self) -> None:
        gc.collect()
        if self._trim is not None:
            self._trim(0)

    # --- Plain handlers

    def _run_frame(self, frame: wire.Invoke) -> None:
        self._is_busy = True
        self._tick_index, self._tick_since = 0, time.monotonic()
        self._range_first = frame.first
        self._arm()
        try:
            columns = _columns(frame)
            if frame.flags & wire.INVOKE_BATCH:
                self._run_batch(frame, columns)
                end = self._range_first
            else:
                self._run_events(frame, columns)
                end = frame.first + len(frame.sizes)
        finally:
            self._disarm()
            self._is_busy = False
        if end > self._range_first:
            self._ranges.append((self._range_first, end - self._range_first))
            self._range_first = end
        self._flush()

    def _run_events(self, frame: wire.Invoke, columns: wire.Events) -> None:
        started, by_type, unpackb, invocation = (
            self._started,
            self._by_type,
            msgpack.unpackb,
            self._invocation,
        )
        bodies, message_ids, user_keys = frame.bodies, frame.message_ids, frame.user_keys
        is_verbose = bool(frame.flags & wire.INVOKE_VERBOSE)
        settings = Settings(self._settings)
        kept = sys.getrefcount(settings)
        offset, sequence = 0, frame.first - 1
        for type_index, size, message_id, user_key in zip(
            columns.types, frame.sizes, message_ids, user_keys, strict=True
        ):
            sequence += 1
            started[0] = sequence
            begun = time.perf_counter() if is_verbose else 0.0
            try:
                event = unpackb(bodies[offset : offset + size])
                offset += size
                own_id = event.get("messageId")
                if event["type"] != _TYPES[type_index] or (
                    own_id != message_id and (message_id or type(own_id) is str)
                ):
                    raise InvalidEventPayload("the event's header and body differ")  # noqa: TRY301  one way out
                if user_key and event.get("userId") != user_key and event.get("anonymousId") != user_key:
                    raise InvalidEventPayload("the event's header and body name different users")  # noqa: TRY301  one way out
                callback = by_type[type_index]
                if callback is None:
                    raise EventNotSupported(f"no handler for {_TYPES[type_index]} events")  # noqa: TRY301  one way out
                result = callback.call(event, settings) if callback.takes_settings else callback.call(event)
                if type(result) is CoroutineType:
                    result.close()
                    raise TypeError(_NOT_AWAITED)  # noqa: TRY301  one way out
                if is_verbose:
                    self._succeed(sequence, result, begun)
                elif invocation.logs or invocation.dropped_bytes:
                    invocation.take_logs()
            except BaseException as error:  # noqa: BLE001  a handler may raise anything
                offset = sum(frame.sizes[: sequence - frame.first + 1])
                self._fail(sequence, error, invocation, begun)
            if sys.getrefcount(settings) > kept:
                retire(settings)
                settings = Settings(self._settings)

    def _succeed(self, sequence: int, result: Any, begun: float) -> None:
        """Report a success with its particulars."""
        self._locked = True
        logs, dropped = self._invocation.take_logs()
        detail = wire.Detail(
            logs=logs,
            logs_dropped_bytes=dropped,
            result=handler.show_result(result),
            duration_us=int((time.perf_counter() - begun) * 1e6),
        )
        self._row(sequence, _DELIVERED, 0, detail.pack())
        self._locked = False

    def _fail(self, sequence: int, error: BaseException, invocation: Invocation, begun: float = 0.0) -> None:
        # Locked first: a tick in here must neither report this event as delivered nor raise again.
        self._locked = True
        error = _rejected(error, self._filename)
        code = handler.code_of(error)
        logs, dropped = invocation.take_logs()
        detail = wire.Detail(
            error=handler.describe(error, code, self._filename),
            logs=logs,
            logs_dropped_bytes=dropped,
            duration_us=int((time.perf_counter() - begun) * 1e6) if begun else 0,
        )
        error.__traceback__ = None
        self._row(sequence, wire.CODE_INDEX[code], handler.after_ms_of(error), detail.pack())
        self._locked = False

    def _row(self, sequence: int, code: int, after_ms: int, detail: bytes) -> None:
        if not self._is_async():
            if sequence > self._range_first:
                self._ranges.append((self._range_first, sequence - self._range_first))
            self._range_first = sequence + 1
        self._add_row(sequence, code, after_ms, detail)

    def _add_row(self, sequence: int, code: int, after_ms: int, detail: bytes) -> None:
        self._failures.append(wire.Failure(sequence, code, after_ms, detail))
        self._failure_bytes += len(detail)
        if self._failure_bytes > OUTCOME_BYTES_MAX:
            self._flush()

    def _run_batch(self, frame: wire.Invoke, columns: wire.Events) -> None:
        self._started[0] = frame.first
        settings = Settings(self._settings)
        begun = time.perf_counter()
        events, sequences = self._unpack_batch(frame.first, columns)
        callback = self._callbacks.get("batch")
        try:
            if callback is None:
                raise EventNotSupported("no handler for batches")  # noqa: TRY301  one way out
            result = callback.call(events, settings) if callback.takes_settings else callback.call(events)
            if type(result) is CoroutineType:
                result.close()
                raise TypeError(_NOT_AWAITED)  # noqa: TRY301  one way out
            outcomes = handler.batch_outcomes(result, len(events))
        except BaseException as error:  # noqa: BLE001  a handler may raise anything
            self._fail_batch(sequences, error, self._invocation)
        else:
            self._end_batch(sequences, outcomes, self._invocation, (frame.flags, result, begun))
        self._range_first = frame.first + len(frame.sizes)
        retire(settings)

    def _unpack_batch(self, first: int, columns: wire.Events) -> tuple[list[Any], list[int]]:
        """The events of a batch and their sequences; those that can't be read are rejected here, alone."""
        events, sequences, offset = [], [], 0
        for at, size in enumerate(columns.sizes):
            try:
                events.append(_read_event(columns.bodies[offset : offset + size], columns, at))
                sequences.append(first + at)
            except InvalidEventPayload as error:
                self._fail_batch([first + at], error, self._invocation)
            offset += size
        return events, sequences

    def _fail_batch(self, sequences: list[int], error: BaseException, invocation: Invocation) -> None:
        self._locked = True
        code = handler.code_of(error)
        logs, dropped = invocation.take_logs()
        described = handler.describe(error, code, self._filename)
        after_ms = handler.after_ms_of(error)
        packed = wire.Detail(error=described, logs=logs, logs_dropped_bytes=dropped).pack()
        bare = wire.Detail(error=described).pack()
        for at, sequence in enumerate(sequences):
            self._add_row(sequence, wire.CODE_INDEX[code], after_ms, bare if at else packed)
        self._locked = False

    def _end_batch(
        self,
        sequences: list[int],
        outcomes: list[tuple[str, str]],
        invocation: Invocation,
        report: tuple[int, Any, float],
    ) -> None:
        self._locked = True
        flags, result, begun = report
        logs, dropped = invocation.take_logs()
        for at, (sequence, (code, message)) in enumerate(zip(sequences, outcomes, strict=True)):
            if code == "delivered" and not flags & wire.INVOKE_VERBOSE:
                self._done.append(sequence)
                continue
            error: dict[str, Any] | None = None
            if code != "delivered":
                error = {
                    "code": code,
                    "type": "BatchStatus",
                    "message": message,
                    "line": None,
                    "column": None,
                }
                error["traceback"] = []
            detail = wire.Detail(
                error=error,
                logs=logs,
                logs_dropped_bytes=dropped,
                result=handler.show_result(result) if flags & wire.INVOKE_VERBOSE and not at else None,
                duration_us=int((time.perf_counter() - begun) * 1e6),
            )
            logs, dropped = [], 0
            self._add_row(sequence, wire.CODE_INDEX[code], 0, detail.pack())
        self._locked = False

    # --- Outcomes and time

    def _flush(self) -> None:
        """Send what has ended. Locked: a tick in here must not send it twice, or into the middle of a frame."""
        before, self._locked = self._locked, True
        ranges, failures, done = self._ranges, self._failures, self._done
        if ranges or failures or done:
            self._ranges, self._failures, self._done, self._failure_bytes = [], [], [], 0
            self._send(wire.pack_outcomes([*ranges, *_ranges_of(done)], failures))
        self._locked = before

    def _arm(self) -> None:
        self._tick_index, self._tick_since = 0, time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)

    @staticmethod
    def _disarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _tick(self, _number: int, frame: FrameType | None) -> None:
        """10 ms have passed: report what has ended; stop user code that is past its deadline."""
        if self._locked:
            return
        now = time.monotonic()
        if self._is_loading:
            if now - self._tick_since > self._timeout_s and self._in_user_code(frame):
                raise DeadlineExceeded(f"loading the module took longer than {self._timeout_s * 1000:.0f} ms")
            return
        if self._is_async():
            self._flush()
            invocation = CURRENT.get()
            if (
                invocation is not None
                and invocation.is_active
                and self._is_late(invocation, now)
                and self._in_user_code(frame)
            ):
                raise DeadlineExceeded(self._late_message())
            return
        if not self._is_busy:
            return
        index = self._started[0]
        if index > self._range_first and self._tick_index:
            self._ranges.append((self._range_first, index - self._range_first))
            self._range_first = index
        self._flush()
        if index != self._tick_index:
            self._tick_index, self._tick_since = index, now
        elif now - self._tick_since > self._timeout_s and self._in_user_code(frame):
            raise DeadlineExceeded(self._late_message())

    def _late_message(self) -> str:
        return f"took longer than {self._timeout_s * 1000:.0f} ms"

    def _is_late(self, invocation: Invocation, now: float) -> bool:
        return now - invocation.started > self._timeout_s

    def _in_user_code(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code.co_filename == self._filename:
                return True
            frame = frame.f_back
        return False

    # --- Async handlers

    def _start_runners(self, frame: wire.Load) -> None:
        assert self._loop is not None
        for _ in range(self._concurrency):
            invocation = Invocation(is_async=True, console_bytes=frame.console_bytes)
            self._runners.append(invocation)
            invocation.task = self._loop.create_task(self._run(invocation))
            self._runner_tasks.append(invocation.task)

    def _stop_runners(self) -> None:
        for task in self._runner_tasks:
            task.cancel()
        self._runners.clear()
        self._runner_tasks.clear()
        self._idle.clear()

    async def _serve_async(self) -> None:
        """Until the module is forgotten, or the worker is to stop and has nothing left."""
        assert self._loop is not None
        os.set_blocking(self._read_fd, False)
        finished = self._finished = self._loop.create_future()
        self._loop.add_reader(self._read_fd, self._readable)
        self._disarm()
        if self._in_flight or self._queue:
            self._begin_work()
        try:
            if self._is_stopping and not self._in_flight and not self._queue:
                return
            await finished
        finally:
            self._loop.remove_reader(self._read_fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._exit(0)
        for body in self._frames.feed(data):
            self._take_async(wire.decode_to_worker(body))
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        is_over = not self._is_async() or (self._is_stopping and not self._in_flight and not self._queue)
        if is_over and not self._finished.done():
            self._finished.set_result(None)

    def _take_async(self, frame: wire.Frame) -> None:
        if not isinstance(frame, wire.Invoke):
            self._control(frame)
            return
        columns = _columns(frame)
        if frame.flags & wire.INVOKE_BATCH:
            self._queue.append(Item(frame.first, frame.flags, columns, -1, frame.bodies, []))
        else:
            offset = 0
            for at, size in enumerate(frame.sizes):
                self._queue.append(
                    Item(frame.first + at, frame.flags, columns, at, frame.bodies[offset : offset + size], [])
                )
                offset += size
        self._begin_work()
        for _ in range(min(len(self._queue), len(self._idle))):
            self._idle.pop().set_result(None)

    def _begin_work(self) -> None:
        if self._sweeper is None and self._loop is not None:
            self._arm()
            self._sweeper = self._loop.call_later(TICK_S, self._sweep)

    def _sweep(self) -> None:
        assert self._loop is not None
        self._flush()
        if not self._in_flight and not self._queue:
            self._sweeper = None
            self._disarm()
            self._end_if_idle()
            return
        now = time.monotonic()
        for invocation in self._runners:
            if invocation.is_active and self._is_late(invocation, now) and invocation.task is not None:
                invocation.task.cancel()
        self._sweeper = self._loop.call_later(TICK_S, self._sweep)

    async def _run(self, invocation: Invocation) -> None:
        """One runner: take the next event, run its handler, report; for as long as the module is loaded."""
        assert self._loop is not None
        CURRENT.set(invocation)
        queue = self._queue
        while True:
            while not queue:
                if not self._in_flight:
                    self._flush()
                waiter = self._loop.create_future()
                self._idle.append(waiter)
                await waiter
            item = queue.popleft()
            self._in_flight += 1
            invocation.started = time.monotonic()
            invocation.is_active = True
            self._started[0] = item.sequence
            settings = Settings(self._settings)
            try:
                await self._run_item(item, settings, invocation)
            except BaseException as error:  # noqa: BLE001  a handler may raise anything
                invocation.is_active = False
                self._fail_item(item, self._as_deadline(error, invocation), invocation)
            invocation.is_active = False
            retire(settings)
            self._in_flight -= 1
            if invocation.children:
                _cancel_children(invocation)

    def _as_deadline(self, error: BaseException, invocation: Invocation) -> BaseException:
        """A runner that was cancelled because its invocation is late goes on with the next one."""
        if not isinstance(error, asyncio.CancelledError) or invocation.task is None:
            return error
        while invocation.task.cancelling():
            invocation.task.uncancel()
        if not self._is_late(invocation, time.monotonic()):
            return error
        return DeadlineExceeded(self._late_message()).with_traceback(error.__traceback__)

    async def _run_item(self, item: Item, settings: Settings, invocation: Invocation) -> None:
        begun = time.perf_counter()
        if item.at < 0:
            events: Any
            events, sequences = self._unpack_batch(item.sequence, item.columns)
            item.sequences.extend(sequences)
            callback = self._callbacks.get("batch")
        else:
            events = _read_event(item.body, item.columns, item.at)
            callback = self._by_type[item.columns.types[item.at]]
        if callback is None:
            raise EventNotSupported("no handler for this type of event")
        result = callback.call(events, settings) if callback.takes_settings else callback.call(events)
        if callback.is_async:
            result = await result
        if item.at < 0:
            outcomes = handler.batch_outcomes(result, len(events))
            self._end_batch(item.sequences, outcomes, invocation, (item.flags, result, begun))
        elif item.flags & wire.INVOKE_VERBOSE:
            logs, dropped = invocation.take_logs()
            detail = wire.Detail(
                logs=logs,
                logs_dropped_bytes=dropped,
                result=handler.show_result(result),
                duration_us=int((time.perf_counter() - begun) * 1e6),
            )
            self._row(item.sequence, _DELIVERED, 0, detail.pack())
        else:
            if invocation.logs or invocation.dropped_bytes:
                invocation.take_logs()
            self._done.append(item.sequence)

    def _fail_item(self, item: Item, error: BaseException, invocation: Invocation) -> None:
        if item.at < 0:
            self._fail_batch(item.sequences, error, invocation)
        else:
            self._fail(item.sequence, error, invocation)


def _columns(frame: wire.Invoke) -> wire.Events:
    return wire.Events(frame.types, frame.message_ids, frame.user_keys, {}, frame.sizes, frame.bodies)


def _read_event(body: bytes, columns: wire.Events, at: int) -> dict[str, Any]:
    """An event whose header tells the truth. Raises `InvalidEventPayload`."""
    try:
        event: dict[str, Any] = msgpack.unpackb(body)
        kind, own_id, user_id, anonymous_id = (
            event.get(name) for name in ("type", "messageId", "userId", "anonymousId")
        )
    except (msgpack.exceptions.UnpackException, ValueError, TypeError, AttributeError) as error:
        raise InvalidEventPayload("the event's body can't be read") from error
    message_id, user_key = columns.message_ids[at], columns.user_keys[at]
    if kind != _TYPES[columns.types[at]] or (own_id != message_id and (message_id or type(own_id) is str)):
        raise InvalidEventPayload("the event's header and body differ")
    if user_key and user_key not in (user_id, anonymous_id):
        raise InvalidEventPayload("the event's header and body name different users")
    return event


def _rejected(error: BaseException, filename: str) -> BaseException:
    """An event that can't be read at all, before any line of the author's ran, is the event's fault."""
    unreadable = (msgpack.exceptions.UnpackException, ValueError, TypeError, KeyError, AttributeError)
    if not isinstance(error, unreadable):
        return error
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == filename or str(error) == _NOT_AWAITED:
            return error
        traceback = traceback.tb_next
    return InvalidEventPayload("the event's body can't be read")


def _ranges_of(sequences: list[int]) -> list[tuple[int, int]]:
    """[5, 3, 4, 9] → [(3, 3), (9, 1)]."""
    ranges: list[tuple[int, int]] = []
    for sequence in sorted(sequences):
        if ranges and ranges[-1][0] + ranges[-1][1] == sequence:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        else:
            ranges.append((sequence, 1))
    return ranges


def _cancel_children(invocation: Invocation) -> None:
    for child in list(invocation.children):
        with contextlib.suppress(Exception):
            child.cancel()
    invocation.children.clear()

"""The worker's life: which module it has, and which loop runs it."""

from __future__ import annotations

import gc
import resource
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import msgpack

from sandbox import modules, wire
from sandbox.compiler import POLICY_KEY, compile_source, execute
from sandbox.runtime import handler
from sandbox.runtime.channel import Channel
from sandbox.runtime.context import CURRENT, Invocation
from sandbox.runtime.ending import finish_generator
from sandbox.runtime.fetch import LINK
from sandbox.runtime.scope import Scope
from sandbox.runtime.settings import Settings, retire
from sandbox.worker.loading import LoadRefused, load
from sandbox.worker.pipe import Pipe, leave
from sandbox.worker.plain import PlainLoop
from sandbox.worker.report import Report
from sandbox.worker.reserve import Reserve
from sandbox.worker.runners import Runners

if TYPE_CHECKING:
    import asyncio
    import select
    from collections.abc import Callable

    from sandbox.worker.ticker import Ticker

WARM_UP: Final = compile_source(
    "def on_track(event, settings):\n"
    "    name = f'{settings.prefix}.{event[\"type\"]}'\n"
    "    return {name: {key: value for key, value in event.get('properties', {}).items() if value is not None}}\n",
    "warm_up.py",
)


class Worker:
    """Owner of the pipe and, once one is loaded, of the module."""

    def __init__(
        self,
        pipe: Pipe,
        http_fds: tuple[int, int],
        epoll: select.epoll,
        page: memoryview,
        *,
        ticker: Ticker,
        trim: Callable[[int], int] | None = None,
    ) -> None:
        """`http_fds` lead from and to the egress, `epoll` waits for them; `page` is shared with the supervisor; `trim` gives memory back."""
        self._pipe = pipe
        self._page = page[: wire.PAGE_BYTES].cast("Q")
        self._trim = trim
        self._scope = Scope()
        self._ticker = ticker
        self._reserve = Reserve()
        self._channel = LINK.channel = Channel(*http_fds, epoll, self._page, self._ticker.hold)
        self._names: dict[str, object] = {}
        self._plain: PlainLoop | None = None
        self._runners: Runners | None = None
        self._suspended: asyncio.Future[None] | None = None
        self._is_stopping = False

    def serve(self, loop: asyncio.AbstractEventLoop) -> NoReturn:
        """Run until the supervisor says stop or is gone. `loop` was made after the fork and isn't running."""
        self.warm_up()
        self._pipe.send(wire.Ready(POLICY_KEY))
        while True:
            self._pipe.set_waiting(True)
            while self._runners is None:
                self.take(loop)
            self._pipe.set_waiting(False)
            try:
                loop.run_until_complete(self._serve_async(self._runners, loop))
            except MemoryError:
                self._runners.memory_ran_out()
            self._runners = None
            self._forget()

    def warm_up(self) -> None:
        """Run a small function once, so that the pages it takes are this process's own before an event waits for them.

        Without a full collection: that alone would copy 0.7 MiB of the zygote's memory.
        """
        CURRENT.set(Invocation(is_async=False, console_bytes=wire.CONSOLE_BYTES_MAX))
        names = execute(WARM_UP, scope=self._scope.names())
        callbacks, table = handler.find_handlers(names)
        event = msgpack.unpackb(msgpack.packb({"type": "track", "properties": {"a": 1.5, "b": None}}))
        settings = Settings({"prefix": "a"})
        callbacks["track"].call(event, settings)
        retire(settings)
        wire.pack_handlers(table)
        wire.decode_to_worker(wire.Invoke(1, 0, b"\x01", [""], [""], [1], b"\x80").pack()[wire.LENGTH.size :])
        wire.pack_outcomes([(1, 1)], []).pack()
        self._ticker.start(lambda _: "", "warm_up.py")
        self._ticker.stop()

    # --- Without a module, or with one of `def` handlers

    def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read what arrives, or deal with the next frame of what has."""
        frame = self._pipe.next()
        if frame is None:
            if self._plain is not None:
                self._plain.rest()
            self._pipe.read()
        elif isinstance(frame, wire.Invoke):
            assert self._plain is not None
            self._plain.run(frame)
        elif isinstance(frame, wire.Load):
            self._load(frame, loop)
        elif isinstance(frame, wire.Bind):
            resource.setrlimit(resource.RLIMIT_AS, (frame.address_bytes, frame.address_bytes))
        elif isinstance(frame, wire.Suspend):
            self._forget()
        elif isinstance(frame, wire.DropCaches):
            self._drop_caches()
        else:
            leave()

    def _load(self, frame: wire.Load, loop: asyncio.AbstractEventLoop) -> None:
        invocation = Invocation(is_async=False, console_bytes=frame.console_bytes)
        CURRENT.set(invocation)
        self._channel.begin_load(frame.timeout_ms / 1000)
        if frame.pinned_ms is not None or frame.seed is not None:
            modules.pin(frame.pinned_ms, frame.seed)
        try:
            module, answer = load(frame, self._scope.names(), invocation=invocation, ticker=self._ticker)
        except LoadRefused as refusal:
            self._pipe.send(refusal.frame)
            leave()
        self._names = module.names
        report = Report(
            self._pipe, self._ticker.hold, module.filename, reserve=self._reserve, mask=module.mask
        )
        if module.is_async:
            self._runners = Runners(
                module,
                report,
                ticker=self._ticker,
                page=self._page,
                loop=loop,
                channel=self._channel,
                ended=self._leave_if_done,
            )
        else:
            self._plain = PlainLoop(
                module, report, ticker=self._ticker, page=self._page, invocation=invocation
            )
        self._pipe.send(answer)

    def _forget(self) -> None:
        if self._plain is not None:
            self._plain.rest()
            self._plain = None
        self._names.clear()
        CURRENT.set(None)
        self._drop_caches()
        self._pipe.send(wire.Suspended())

    def _drop_caches(self) -> None:
        self._scope.clear()
        gc.collect()
        if self._trim is not None:
            self._trim(0)

    # --- With a module of `async def` handlers

    async def _serve_async(self, runners: Runners, loop: asyncio.AbstractEventLoop) -> None:
        """Until the module is to be forgotten."""
        self._suspended = loop.create_future()
        sys.set_asyncgen_hooks(finalizer=finish_generator)
        self._take_arrived()
        loop.add_reader(self._pipe.read_fd, self._readable)
        self._channel.attach(loop)
        try:
            await self._suspended
        finally:
            loop.remove_reader(self._pipe.read_fd)
            self._channel.detach()
        await runners.stop()

    def _readable(self) -> None:
        self._pipe.read()
        self._take_arrived()

    def _take_arrived(self) -> None:
        assert self._runners is not None
        assert self._suspended is not None
        while not self._suspended.done() and (frame := self._pipe.next()) is not None:
            if isinstance(frame, wire.Invoke):
                self._runners.take(frame)
            elif isinstance(frame, wire.Suspend):
                self._suspended.set_result(None)
            elif isinstance(frame, wire.DropCaches):
                self._drop_caches()
            else:
                self._is_stopping = True
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._is_stopping and self._runners is not None and not self._runners.is_busy:
            leave()

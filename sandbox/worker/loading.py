"""Source or code → a module that is loaded, with its handlers; or why not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from sandbox import wire
from sandbox.compiler import CompileRefused, compile_source, execute
from sandbox.filters import Filter
from sandbox.runtime import handler
from sandbox.worker.ticker import too_long

if TYPE_CHECKING:
    from sandbox.runtime.context import Invocation
    from sandbox.worker.ticker import Ticker

DIAGNOSTICS_MAX = 100
LOG_LINES_MAX = 1_000


class LoadRefused(Exception):
    """The module didn't compile or load; `frame` says why."""

    def __init__(self, stage: str, detail: dict[str, Any]) -> None:
        super().__init__(stage)
        self.frame = wire.Refused(stage, msgpack.packb(detail, unicode_errors="replace"))


@dataclass(slots=True, eq=False)
class Module:
    """A destination's function, loaded in this process."""

    filename: str
    timeout_s: float
    concurrency: int
    console_bytes: int
    settings: dict[str, Any]
    names: dict[str, object]
    """Its globals."""
    callbacks: dict[str, handler.Callback]
    by_type: list[handler.Callback | None]
    """A place an event type, in the order of `wire.EVENT_TYPES`."""
    handlers: list[wire.Handler]
    filter: Filter | None
    """What keeps events from the handlers."""

    @property
    def is_async(self) -> bool:
        """A handler is `async def`: all run on asyncio."""
        return any(callback.is_async for callback in self.callbacks.values())


def load(
    frame: wire.Load, scope: dict[str, object], *, invocation: Invocation, ticker: Ticker
) -> tuple[Module, wire.Loaded]:
    """The module, and the answer to its `Load`. Raises `LoadRefused`."""
    timeout_s = frame.timeout_ms / 1000
    compiled: bytes | None = None
    try:
        if frame.source is not None:
            compiled = compile_source(frame.source, frame.filename)
        code = frame.code if frame.code is not None else compiled
        assert code is not None
        begun = time.monotonic()
        ticker.start(
            lambda now: f"loading the module {too_long(timeout_s)}" if now - begun > timeout_s else "",
            frame.filename,
        )
        try:
            names = execute(code, scope=scope)
        finally:
            ticker.stop()
        callbacks, table = handler.find_handlers(names)
    except CompileRefused as refusal:
        diagnostics = [item.as_map() for item in refusal.diagnostics[:DIAGNOSTICS_MAX]]
        raise LoadRefused("compile", {"diagnostics": diagnostics}) from None
    except handler.HandlersRefused as refusal:
        raise LoadRefused("handlers", {"diagnostics": refusal.problems[:DIAGNOSTICS_MAX]}) from None
    except BaseException as error:  # noqa: BLE001  a module may raise anything while it is loaded
        described = handler.describe(error, "load_failed", frame.filename)
        raise LoadRefused("load", {"error": described, "logs": invocation.take_logs()[0]}) from None
    module = Module(
        frame.filename,
        timeout_s,
        frame.concurrency,
        frame.console_bytes,
        msgpack.unpackb(frame.settings),
        names,
        callbacks,
        [callbacks.get(name) for name in wire.EVENT_TYPES],
        table,
        Filter(frame.filter) if frame.filter else None,
    )
    logs: bytes = msgpack.packb(invocation.take_logs()[0][:LOG_LINES_MAX], unicode_errors="replace")
    return module, wire.Loaded(compiled, wire.pack_handlers(table), logs)

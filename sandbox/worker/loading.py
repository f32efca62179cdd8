"""Source or code → a module that is loaded, with its handlers; or why not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgpack

from sandbox import wire
from sandbox.compiler import CompileRefused, LibrariesNeeded, compile_source, execute
from sandbox.filters import Filter
from sandbox.runtime import handler
from sandbox.worker.masking import Mask
from sandbox.worker.ticker import too_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.runtime.context import Invocation
    from sandbox.worker.ticker import Ticker

DIAGNOSTICS_MAX: Final = 100
TEXT_CHARS_MAX: Final = 500
"""Of each thing that a diagnostic says."""


class LoadRefused(Exception):
    """The module didn't compile or load; `frame` says why."""

    def __init__(self, stage: str, detail: bytes) -> None:
        super().__init__(stage)
        self.frame = wire.Refused(stage, detail)


def _pack_diagnostics(diagnostics: Sequence[dict[str, Any]]) -> bytes:
    packed: bytes = msgpack.packb(
        [
            {key: value[:TEXT_CHARS_MAX] if isinstance(value, str) else value for key, value in item.items()}
            for item in diagnostics[:DIAGNOSTICS_MAX]
        ],
        unicode_errors="replace",
    )
    return packed


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
    mask: Mask
    """What keeps secrets from its reports."""

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
            compiled = compile_source(frame.source, frame.filename, finds_libraries=frame.finds_libraries)
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
        diagnostics = [item.as_map() for item in refusal.diagnostics]
        raise LoadRefused("compile", _pack_diagnostics(diagnostics)) from None
    except LibrariesNeeded as needed:
        raise LoadRefused("libraries", wire.pack_libraries(needed.names)) from None
    except handler.HandlersRefused as refusal:
        raise LoadRefused("handlers", _pack_diagnostics(refusal.problems)) from None
    except BaseException as error:  # noqa: BLE001  a module may raise anything while it is loaded
        logs, dropped = invocation.take_logs()
        described = handler.describe(error, "load_failed", frame.filename)
        detail = wire.Detail(error=described, logs=logs, logs_dropped_bytes=dropped)
        raise LoadRefused("load", detail.pack()) from None
    settings: dict[str, Any] = msgpack.unpackb(frame.settings)
    module = Module(
        frame.filename,
        timeout_s,
        frame.concurrency,
        frame.console_bytes,
        settings,
        names,
        callbacks,
        [callbacks.get(name) for name in wire.EVENT_TYPES],
        table,
        Filter(frame.filter) if frame.filter else None,
        Mask(settings[name] for name in frame.sensitive if name in settings),
    )
    lines = wire.pack_lines(invocation.take_logs()[0])
    return module, wire.Loaded(compiled, wire.pack_handlers(table), lines)

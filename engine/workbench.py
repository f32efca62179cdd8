"""Functions tried without a daemon: a pool and an egress, no journal, no socket. For `engine test` and `engine.testing`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import uvloop

from engine import installed
from engine.clock import SystemClock
from engine.config import Config, check_limits
from engine.dispatch.trial import Trial, pack_settings, result_map
from engine.egress.access import TRACE_BODY_BYTES
from engine.egress.options import options_of
from engine.egress.supervise import Egress, read_mocks
from engine.events import encode_events
from engine.workers.pool import Pool, PoolOptions
from engine.workers.zygote import Program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType


class Workbench:
    """Owner of the processes; an async context manager. Raises `Unavailable` if they can't be started."""

    def __init__(self, *, allow: tuple[str, ...] = ()) -> None:
        """`allow` may be called by functions besides what is public. Raises `ConfigurationError`."""
        loop = asyncio.get_running_loop()
        self._egress = Egress(options_of(Config(egress_allow=allow)), loop=loop)
        options = PoolOptions(spares=1, program=Program(libraries=installed.present()))
        self._pool = Pool(options, http=self._egress, loop=loop, clock=SystemClock())
        self._egress.events = self._pool

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(self._egress.start(), self._pool.start())
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await self._pool.stop()
        await self._egress.stop()

    async def load(
        self,
        *,
        source: str,
        filename: str,
        settings: dict[str, Any],
        limits: dict[str, int],
        mocks: Sequence[dict[str, Any]] | None = None,
        trace_body_bytes: int = TRACE_BODY_BYTES,
        is_blanked: bool = True,
        pinned_ms: int | None = None,
        seed: int | None = None,
    ) -> Trial:
        """A function in a worker of its own; close it. Raises `FunctionRefused`, `UsageError`."""
        read_mocks(mocks or ())
        trial = Trial(self._pool, self._egress)
        try:
            await trial.load(
                source=source,
                filename=filename,
                settings=pack_settings(settings),
                limits=check_limits(limits, Config().limits),
                mocks=mocks,
                trace_body_bytes=trace_body_bytes,
                is_blanked=is_blanked,
                pinned_ms=pinned_ms,
                seed=seed,
            )
        except BaseException:
            trial.close()
            raise
        return trial


async def run(trial: Trial, events: Sequence[dict[str, Any]], *, batch: bool) -> list[dict[str, Any]]:
    """A result an event, as `engine test --json` prints it. Raises `InvalidEvent`."""
    columns = encode_events(events)
    return [result_map(code, detail) for code, detail in await trial.invoke(columns, batch=batch)]


def run_tests(
    groups: Sequence[tuple[list[dict[str, Any]], bool]], *, allow: tuple[str, ...] = (), **function: Any
) -> list[dict[str, Any]]:
    """`engine test`: groups of events, each in a fresh worker, one after the other or as one batch.

    `function` are the arguments of `Workbench.load`. Raises `FunctionRefused`, `InvalidEvent`, `UsageError`.
    """
    for events, _ in groups:
        encode_events(events)

    async def main() -> list[dict[str, Any]]:
        results = []
        async with Workbench(allow=allow) as bench:
            for events, batch in groups:
                trial = await bench.load(**function)
                results += await run(trial, events, batch=batch)
                trial.close()
        return results

    return uvloop.run(main())

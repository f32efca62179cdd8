"""Tasks that dispatch starts and nobody awaits one by one: kept alive, logged if they fail, waited for at the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Coroutine

log = structlog.get_logger()


class Tasks:
    """Owner of tasks in the background."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        """Start one."""
        task = self._loop.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatch_failed", error=repr(error))

    async def finish(self, timeout_s: float) -> None:
        """Wait for all, and for those that they start; `timeout_s` at most."""
        deadline = self._loop.time() + timeout_s
        while self._running and (left_s := deadline - self._loop.time()) > 0:
            await asyncio.wait(set(self._running), timeout=left_s)

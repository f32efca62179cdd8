"""The place of one egress process, and of the launcher that forks it: each is replaced when it is gone.

    Slot ──exec──► launcher ──fork──► process (jailed)         the launcher's end is its process's, too
      ask: fork     └── control socket ◄──► Process

Places have nothing in common, so that whatever dies costs the destinations of one. The launcher has imported everything: a
process that died is back within milliseconds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from engine.egress.processes import Launcher, Process

if TYPE_CHECKING:
    from engine.egress.processes import ProcessEvents

log = structlog.get_logger()

START_S_MAX: Final = 20.0
RESTART_S: Final = (0.0, 0.0, 0.05, 0.2, 1.0, 5.0)
"""Pauses before a process is started again, by how often in a row one died young."""
YOUNG_S: Final = 10.0


class Slot:
    """Owner of a launcher and its process."""

    def __init__(
        self, number: int, ca_file: str, *, loop: asyncio.AbstractEventLoop, events: ProcessEvents
    ) -> None:
        self.process: Process | None = None
        self._number = number
        self._ca_file = ca_file
        self._loop = loop
        self._events = events
        self._launcher: Launcher | None = None
        self._deaths = 0
        self._restarting: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Its process takes channels."""
        return self.process is not None and self.process.is_started

    async def start(self) -> None:
        """Start what isn't there. Raises `OSError`, of which `TimeoutError` is one."""
        async with asyncio.timeout(START_S_MAX):
            if self._launcher is not None and self._launcher.is_gone:
                await self._launcher.stop()
                self._launcher = None
            if self._launcher is None:
                self._launcher = await Launcher.start(self._ca_file)
            if self.process is None:
                self.process = Process(self._number, self._launcher, self._loop, self._events)
            await self.process.started

    def restart(self) -> None:
        """Its process has died: start another."""
        assert self.process is not None
        is_young = self._loop.time() - self.process.started_at < YOUNG_S
        self._deaths = self._deaths + 1 if is_young else 0
        self.process = None
        if self._restarting is None:
            self._restarting = self._loop.create_task(self._restart())

    async def _restart(self) -> None:
        while not self.is_ready:
            await asyncio.sleep(RESTART_S[min(self._deaths, len(RESTART_S) - 1)])
            try:
                await self.start()
            except OSError as error:
                reason = str(error) or "it took too long"
                log.error("egress_not_started", slot=self._number, reason=reason)  # noqa: TRY400  the reason is the message
                self._deaths += 1
                await self._drop_unstarted()
        self._restarting = None

    async def _drop_unstarted(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        is_launcher_stuck = not process.is_forked
        process.close()
        if is_launcher_stuck and self._launcher is not None:
            await self._launcher.stop()
            self._launcher = None

    async def stop(self) -> None:
        """End both."""
        if self._restarting is not None:
            self._restarting.cancel()
        if self.process is not None:
            self.process.close()
        if self._launcher is not None:
            await self._launcher.stop()

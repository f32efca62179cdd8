"""The gateway as the daemon sees it: a process that is started, started again when it dies, and ended first.

    GatewayProcess ──exec──► engine gateway --parent-fd N        one socket pair: it writes its address when it listens,
                                                                 and ends when the daemon's end is closed

It reaches the daemon over the Unix socket alone, as any client. Its end is nobody else's: clients try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

from engine.errors import EngineError, Unavailable, from_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger()

START_S_MAX: Final = 20.0
STOP_S_MAX: Final = 15.0
"""It gives its requests less."""
RESTART_S: Final = (0.0, 0.1, 0.5, 2.0, 10.0)
"""Pauses before it is started again, by how often in a row it died young."""
YOUNG_S: Final = 10.0
MESSAGE_BYTES_MAX: Final = 4_096


class GatewayProcess:
    """Owner of the process."""

    def __init__(self, http: str, arguments: Sequence[str]) -> None:
        """`http` is HOST:PORT; `arguments` are others of `engine gateway`."""
        self.http = http
        """With the port that was chosen, once it has started."""
        self.restarts = 0
        self._arguments = list(arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it listens. Raises `ConfigurationError` if it can't, `Unavailable` if it doesn't come up."""
        try:
            await self._start()
        except OSError as error:
            await self._end(signal.SIGKILL)
            raise Unavailable(
                f"the gateway can't be started: {error.strerror}",
                remedy="free memory, processes or descriptors",
            ) from None
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        with theirs:
            fd = str(theirs.fileno())
            # No environment: what it needs to know are arguments, and the daemon's may hold a key.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-m", "engine", "gateway"),
                *("--http", self.http, "--parent-fd", fd, *self._arguments),
                env={},
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        try:
            async with asyncio.timeout(START_S_MAX):
                told = await asyncio.get_running_loop().sock_recv(ours, MESSAGE_BYTES_MAX)
        except (TimeoutError, OSError):
            told = b""
        if not told:
            await self._end(signal.SIGKILL)
            raise Unavailable("the gateway didn't start", remedy="see the log for what it printed")
        message: dict[str, Any] = json.loads(told)
        if "http" not in message:
            await self._end(signal.SIGKILL)
            raise from_wire(message["code"], message["message"], message["remedy"], {})
        self.http = message["http"]

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            assert self._process is not None
            begun = loop.time()
            status = await self._process.wait()
            deaths = deaths + 1 if loop.time() - begun < YOUNG_S else 0
            self.restarts += 1
            log.error("gateway_died", status=status, restarts=self.restarts)
            await self._end(signal.SIGKILL)
            await asyncio.sleep(RESTART_S[min(deaths, len(RESTART_S) - 1)])
            try:
                await self._start()
            except (EngineError, OSError) as error:
                log.error("gateway_not_started", reason=str(error))  # noqa: TRY400  the reason is the message

    async def stop(self) -> None:
        """Let it answer what it was asked, and end."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

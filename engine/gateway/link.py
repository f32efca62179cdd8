"""The gateway's connections to the daemon: kept, and made again when the daemon comes back.

They are a relay's: a call needs the token of whoever asks (`call_for`), whatever the gateway's own user may.

One connection carries events alone, so that a call never waits behind them; the others carry calls. While the daemon
is away, who asks for a connection gets `Unavailable` at once. Nothing is kept here for later: only the daemon promises
that an event is safe.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

import structlog

from engine.async_client import AsyncClient
from engine.errors import EngineError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

log = structlog.get_logger()

CALL_CONNECTIONS: Final = 4
RECONNECT_S: Final = 0.1


class Link:
    """Owner of the connections. `async with Link(path)` keeps them."""

    def __init__(self, path: str, watch: Callable[[AsyncClient], Awaitable[object]]) -> None:
        """`path` is the daemon's socket; `watch` runs on the connection for events as long as that lives."""
        self.path = path
        self._watch = watch
        self._clients: list[AsyncClient | None] = [None] * (1 + CALL_CONNECTIONS)
        self._turn = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.get_running_loop().create_task(self._keep(place)) for place in range(len(self._clients))
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    @property
    def events(self) -> AsyncClient:
        """The connection for events. Raises `Unavailable` while there is none."""
        return self._connected(0)

    @property
    def calls(self) -> AsyncClient:
        """A connection for operations; they take turns. Raises `Unavailable` while there is none."""
        for _ in range(CALL_CONNECTIONS):
            self._turn = self._turn % CALL_CONNECTIONS + 1
            if self._clients[self._turn] is not None:
                break
        return self._connected(self._turn)

    def _connected(self, place: int) -> AsyncClient:
        client = self._clients[place]
        if client is None:
            raise Unavailable("the gateway has no connection to the daemon", remedy="try again in a second")
        return client

    async def _keep(self, place: int) -> None:
        was_connected = True
        while True:
            try:
                async with AsyncClient(self.path, is_relay=True) as client:
                    self._clients[place] = client
                    if place:
                        await client.ended()
                    else:
                        was_connected = True
                        log.info("daemon_connected", pid=client.daemon_pid)
                        await self._watch(client)
            except EngineError as error:
                if place == 0 and was_connected:
                    log.warning("daemon_away", reason=error.message)
                was_connected = False
            finally:
                self._clients[place] = None
            await asyncio.sleep(RECONNECT_S)

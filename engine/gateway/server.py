"""The gateway's process: a listening socket, the connections on it, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import time
import uuid
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, cast

import structlog
import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from engine.address import format_address, parse_address
from engine.clock import SystemClock
from engine.errors import ConfigurationError
from engine.gateway.app import Gateway
from engine.gateway.asgi import Budget
from engine.gateway.connection import CONNECTIONS_MAX, IDLE_S_MAX, SWEEP_S, Connection
from engine.gateway.control import Control
from engine.gateway.health import Health
from engine.gateway.link import Link
from engine.gateway.measuring import Requests
from engine.gateway.metrics import Metrics
from engine.gateway.public_api.api import PublicApi
from engine.gateway.tracking.api import Tracking
from engine.gateway.tracking.rates import Rates
from engine.gateway.tracking.submitting import Submitter
from engine.gateway.write_keys import WriteKeys
from engine.undumpable import become_undumpable

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.gateway.asgi import App

log = structlog.get_logger()

BACKLOG: Final = 1_024
OTHER_FILES_MAX: Final = 100
"""Descriptors that are no client's."""
KEYS_S_MAX: Final = 2.0
"""How long it waits for a daemon before it says that it is ready: its first requests needn't be sent again."""
STOP_S_MAX: Final = 10.0
"""What requests that are being answered have left when it stops."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator says of a gateway."""

    http: str
    """`HOST:PORT`; with port 0 the system chooses."""
    socket: str
    """The daemon's."""
    requests_per_s: int
    """Of one source; 0 is no limit."""
    metrics_open: bool
    """Whoever reaches the port may read `/metrics`, without a token."""


def listen(http: str) -> socket.socket:
    """A socket on that address; several processes may have one. Raises `ConfigurationError`."""
    try:
        host, port = parse_address(http)
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"HTTP can't be served: {error}", remedy="choose another --http HOST:PORT"
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # several gateways on one port
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"{http} can't be listened on: {error.strerror}", remedy="choose another --http HOST:PORT"
        ) from None
    return listener


class Server:
    """Owner of the listening socket and its connections. uvicorn's server would bring signals and a lifespan of its own."""

    def __init__(self, app: App, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_S_MAX,
        )
        self._config.load()
        self._state = ServerState()
        self.connections = cast("set[Connection]", self._state.connections)
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take connections."""
        # What uvicorn would log of requests has a line of ours, or is nobody's business.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        self._ticking = self._loop.create_task(self._tick())
        self._server = await self._loop.create_server(self._connection, sock=self._listener, backlog=BACKLOG)

    def _connection(self) -> Connection:
        return Connection(config=self._config, server_state=self._state, app_state={}, _loop=self._loop)

    async def _tick(self) -> None:
        while True:
            date = formatdate(time.time(), usegmt=True).encode()
            self._state.default_headers = [(b"date", date)]
            now = self._loop.time()
            for connection in list(self.connections):
                connection.sweep(now)
            await asyncio.sleep(SWEEP_S)

    async def stop(self) -> None:
        """Take no more; give those that are being answered `STOP_S_MAX`."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S_MAX):
                while self.connections:  # noqa: ASYNC110  uvicorn's protocol tells nobody of its end
                    await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.transport.abort()
        if self._ticking is not None:
            self._ticking.cancel()


async def serve(options: Options, *, on_ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Until `stop` is set; `on_ready` is told the address. Raises `ConfigurationError`."""
    listener = listen(options.http)
    keys, clock = WriteKeys(), SystemClock()
    async with Link(options.socket, keys.watch) as link:
        requests = Requests()
        apps = _apps(options, link, keys, requests=requests, clock=clock, stop=stop)
        server = Server(Gateway(apps, requests, clock), listener)
        await server.start()
        telling = asyncio.get_running_loop().create_task(requests.keep_telling(link))
        gc.collect()
        gc.freeze()
        gc.enable()
        http = format_address(*listener.getsockname()[:2])
        log.info("gateway_serving", http=http, socket=options.socket, pid=os.getpid())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEYS_S_MAX):
                await keys.known()
        on_ready(http)
        await stop.wait()
        await server.stop()
        telling.cancel()
        await requests.tell(link)


def _apps(
    options: Options,
    link: Link,
    keys: WriteKeys,
    *,
    requests: Requests,
    clock: Clock,
    stop: asyncio.Event,
) -> dict[str, App]:
    """The first part of a path → who answers."""
    budget = Budget()

    def new_id() -> str:
        return str(uuid.uuid4())

    submitter, rates = Submitter(lambda: link.events), Rates(options.requests_per_s, clock)
    health = Health(link, knows_keys=lambda: keys.is_known, is_stopping=stop.is_set)
    public = PublicApi(link, budget, clock=clock, new_id=new_id)
    return {
        "v1": Tracking(submitter, keys, rates, budget, clock=clock, new_id=new_id),
        "api": Control(link, budget),
        "functions": public,
        "insert-function-instances": public,
        "livez": health,
        "readyz": health,
        "metrics": Metrics(link, requests, is_open=options.metrics_open),
    }


def run(options: Options, *, on_ready: Callable[[str], None], parent: int | None = None) -> None:
    """`engine gateway`: until SIGTERM or SIGINT; a second one ends it at once. So does the end of whoever holds `parent`.

    `parent` is a descriptor of a socket: the daemon's, which started it.
    """
    become_undumpable()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, CONNECTIONS_MAX + OTHER_FILES_MAX)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop, signalled = asyncio.Event(), asyncio.Event()

        def asked() -> None:
            if signalled.is_set():
                os._exit(130)
            signalled.set()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked)
        if parent is not None:
            loop.add_reader(parent, _parent_ended, loop, parent, stop)
        await serve(options, on_ready=on_ready, stop=stop)

    uvloop.run(main())


def _parent_ended(loop: asyncio.AbstractEventLoop, parent: int, stop: asyncio.Event) -> None:
    loop.remove_reader(parent)
    stop.set()

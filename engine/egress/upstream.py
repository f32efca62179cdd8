"""Connections to servers, each to an address that was judged the moment before, and kept for the destination it was made for.

take ─► an idle one of this destination, to this origin, judged by these very rules ─► send … ─► give_back
     └► resolve ─► every address judged ─► _open_socket judges the one it is made for ─► connect ─► TLS

Two places judge. A name is refused of which any address may not be called, so that no second answer of a name server
matters; and every socket is made by `_open_socket`, which sees the very address it is about to be connected to, whether that came
from the resolver or stood in the URL. Nothing else makes sockets. `Host` and the name that TLS asks for and checks are the URL's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import aiohappyeyeballs

from engine.egress.connection import Connection
from engine.egress.rules import Refused

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from engine.egress.destinations import Destination
    from engine.egress.rules import Rules, Target
    from engine.egress.trace import Trace

    Lookup = Callable[[str, int], Awaitable[Sequence[tuple[int, str]]]]
    """Host, port → (address family, address) of each; raises `OSError`."""

CONNECTIONS_MAX: Final = 1_024
"""Of all destinations together: for each beyond it one is closed, that which has been idle longest."""
KEEP_ALIVE_S: Final = 15.0
EYEBALLS_S: Final = 0.25
"""RFC 8305: an address that doesn't answer so soon isn't waited for alone."""


async def lookup(host: str, port: int) -> Sequence[tuple[int, str]]:
    """The system's resolver, in a thread. Raises `OSError`."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), str(address[0])) for family, _, _, _, address in infos]


class Pool:
    """Owner of every connection of this process."""

    def __init__(self, *, find: Lookup, tls: ssl.SSLContext) -> None:
        self.source_address = ""
        self._open_ones: set[Connection] = set()
        self._find = find
        self._tls = tls
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        """Those that have been idle longest first."""
        self._idle_of: dict[tuple[object, ...], list[Connection]] = {}
        self._none_open = asyncio.Event()

    @property
    def open(self) -> int:
        """Connections that are open, or being opened."""
        return len(self._open_ones)

    async def take(self, destination: Destination, target: Target, trace: Trace) -> Connection:
        """A connection to send one request on, and give back. Raises `Refused`, or `OSError`."""
        key = (destination.id, self.source_address, *target.origin)
        while idle := self._idle_of.get(key):
            connection = idle[-1]
            self._no_longer_idle(connection)
            if connection.rules is destination.rules and connection.is_open:
                return connection
            connection.close()
        return await self._open(key, destination, target, trace)

    def give_back(self, connection: Connection) -> None:
        """Its response is over, or nobody wants the rest of it."""
        if not connection.rest():
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle[connection] = None
        self._idle_of.setdefault(connection.key, []).append(connection)

    def sweep(self, now: float) -> None:
        """Close what has been idle for `KEEP_ALIVE_S`."""
        while self._idle and now - next(iter(self._idle)).idle_since > KEEP_ALIVE_S:
            self._close_idlest()

    async def close(self) -> None:
        """Close what is idle; wait until the rest is given back."""
        while self._idle:
            self._close_idlest()
        while self._open_ones:
            self._none_open.clear()
            await self._none_open.wait()

    def _close_idlest(self) -> None:
        connection = next(iter(self._idle))
        self._no_longer_idle(connection)
        connection.close()

    def _no_longer_idle(self, connection: Connection) -> None:
        del self._idle[connection]
        same = self._idle_of[connection.key]
        same.remove(connection)
        if not same:
            del self._idle_of[connection.key]

    def _ended(self, connection: Connection) -> None:
        if connection in self._idle:
            self._no_longer_idle(connection)
        self._open_ones.discard(connection)
        if not self._open_ones:
            self._none_open.set()

    # --- Opening

    async def _open(
        self, key: tuple[object, ...], destination: Destination, target: Target, trace: Trace
    ) -> Connection:
        connection = Connection(key, destination.rules, self._ended)
        self._open_ones.add(connection)
        if self.open > CONNECTIONS_MAX and self._idle:
            self._close_idlest()
        try:
            begun = time.perf_counter()
            infos = await self._resolve(destination, target)
            resolved = time.perf_counter()
            trace.resolve_ms += (resolved - begun) * 1000
            try:
                await self._connect(connection, target, infos)
            finally:
                trace.connect_ms += (time.perf_counter() - resolved) * 1000
        except BaseException:
            # Cancelled in between, uvloop says that it is made, and never that it is lost.
            connection.close()
            self._ended(connection)
            raise
        return connection

    async def _resolve(self, destination: Destination, target: Target) -> list[tuple[Any, ...]]:
        """The addresses of a host, all of which may be called."""
        if target.address is not None:
            family = socket.AF_INET if target.address.version == 4 else socket.AF_INET6
            found: Sequence[tuple[int, str]] = [(family, str(target.address))]
        else:
            try:
                async with destination.lookups:
                    found = await self._find(target.host, target.port)
            except OSError as error:
                raise ConnectionError(f"the host's name can't be resolved: {error}") from None
            if not found:
                raise ConnectionError("the host's name can't be resolved: it has no address")
        for _, text in found:
            destination.rules.check_address(target, ipaddress.ip_address(text))
        return [
            (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (text, target.port))
            for family, text in found
        ]

    async def _connect(
        self, connection: Connection, target: Target, infos: Sequence[tuple[Any, ...]]
    ) -> None:
        local = None
        if self.source_address:
            family = socket.AF_INET6 if ":" in self.source_address else socket.AF_INET
            local = [(family, socket.SOCK_STREAM, 0, "", (self.source_address, 0))]
        refusals: list[Refused] = []

        def judged(info: tuple[Any, ...]) -> socket.socket:
            try:
                return _open_socket(connection.rules, target, info)
            except Refused as error:
                refusals.append(error)
                raise PermissionError(str(error)) from None

        loop = asyncio.get_running_loop()
        try:
            made = await aiohappyeyeballs.start_connection(
                infos,
                local_addr_infos=local,
                happy_eyeballs_delay=EYEBALLS_S,
                interleave=1,
                loop=loop,
                socket_factory=judged,
            )
        except (OSError, RuntimeError) as error:  # uvloop's may be either
            if refusals:
                raise refusals[0] from None
            raise ConnectionError(f"can't connect to {target.host}: {error}") from None
        try:
            await loop.create_connection(
                lambda: connection,
                sock=made,
                ssl=self._tls if target.scheme == "https" else None,
                server_hostname=target.host if target.scheme == "https" else None,
            )
        except BaseException:
            made.close()
            raise


def _open_socket(rules: Rules, target: Target, info: tuple[Any, ...]) -> socket.socket:
    """The only place that makes a socket: for exactly the address that `info` names, and only if it may be called."""
    family, kind, protocol, _, address = info
    if address[1] != target.port:
        raise Refused(f"port {address[1]} isn't the one that was checked")
    rules.check_address(target, ipaddress.ip_address(address[0]))
    return socket.socket(family, kind, protocol)

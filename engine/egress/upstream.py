"""Connections of one destination, each to an address that was judged the moment before.

Two places judge. The resolver refuses a name of which any address may not be called, so that no second name server
answer matters; and every socket is made by `_open_socket`, which sees the very address it is about to be connected to,
whether that came from the resolver or stood in the URL. Nothing else makes sockets. The URL keeps its host, and with
it `Host` and the name that TLS asks for and checks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from engine.egress.rules import Refused, Rules, Step, Target

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace as AiohttpTrace

    Lookup = Callable[[str, int], Awaitable[Sequence[tuple[int, str]]]]
    """Host, port → (address family, address) of each; raises `OSError`."""

CONCURRENT_MAX: Final = 64
"""Requests of one destination at once; the others wait."""
LOOKUPS_MAX: Final = 4
"""Names of one destination that are being resolved at once: they occupy threads that all share."""
KEEP_ALIVE_S: Final = 15.0
LINE_BYTES_MAX: Final = 8_190
RESPONSE_HEADERS_MAX: Final = 100
_NOT_ADDED: Final = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})
"""What aiohttp would say unasked."""


class Attempt:
    """What is going on in the task that sends: which target was let through, and how long each stage took."""

    __slots__ = ("connect_s", "resolve_s", "rules", "target")

    def __init__(self, rules: Rules, target: Target) -> None:
        self.rules = rules
        self.target = target
        self.resolve_s = 0.0
        self.connect_s = 0.0
        """With resolving and waiting for a connection of this destination."""


_ATTEMPT: Final[ContextVar[Attempt]] = ContextVar("attempt")


async def lookup(host: str, port: int) -> Sequence[tuple[int, str]]:
    """The system's resolver, in a thread. Raises `OSError`."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), str(address[0])) for family, _, _, _, address in infos]


class _Resolver(AbstractResolver):
    """Returns addresses that may be called, all of a name or none."""

    def __init__(self, find: Lookup) -> None:
        self._find = find
        self._slots = asyncio.Semaphore(LOOKUPS_MAX)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises `Refused`, or `OSError` if the name has no address."""
        del family
        attempt = _ATTEMPT.get()
        begun = time.perf_counter()
        async with self._slots:
            found = await self._find(host, port)
        attempt.resolve_s += time.perf_counter() - begun
        if not found:
            raise OSError(f"{host} has no address")
        for _, text in found:
            attempt.rules.check_address(attempt.target, ipaddress.ip_address(text))
        return [
            ResolveResult(
                hostname=host,
                host=text,
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, text in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _open_socket(info: tuple[Any, ...]) -> socket.socket:
    """The only place that makes a socket: for exactly the address that `info` names, and only if it may be called."""
    family, kind, protocol, _, address = info
    attempt = _ATTEMPT.get()
    if address[1] != attempt.target.port:
        raise Refused(f"port {address[1]} isn't the one that was checked")
    attempt.rules.check_address(attempt.target, ipaddress.ip_address(address[0]))
    return socket.socket(family, kind, protocol)


class _Connector(aiohttp.TCPConnector):
    """aiohttp's, which says how long it took."""

    async def connect(
        self,
        req: ClientRequest,
        traces: list[AiohttpTrace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        begun = time.perf_counter()
        try:
            return await super().connect(req, traces, timeout)
        finally:
            _ATTEMPT.get().connect_s += time.perf_counter() - begun


class Upstream:
    """Owner of one destination's connections; nothing of them is shared with another destination."""

    def __init__(self, *, find: Lookup, tls: ssl.SSLContext, source_address: str = "") -> None:
        self.users = 0
        """Requests that hold it open."""
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                resolver=_Resolver(find),
                use_dns_cache=False,
                socket_factory=_open_socket,
                ssl=tls,
                limit=CONCURRENT_MAX,
                keepalive_timeout=KEEP_ALIVE_S,
                local_addr=(source_address, 0) if source_address else None,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=_NOT_ADDED,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=RESPONSE_HEADERS_MAX,
            read_bufsize=2**16,
        )

    async def send(self, step: Step, attempt: Attempt) -> aiohttp.ClientResponse:
        """Send, and return the response once its head is there; the caller releases it. Raises what aiohttp raises, or `Refused`."""
        _ATTEMPT.set(attempt)
        return await self._session.request(
            step.method,
            URL(step.target.url, encoded=True),
            data=step.body or None,
            headers=step.headers,
            allow_redirects=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

"""`/api/v1/…`: every operation of the daemon over HTTP. Who may do what the daemon decides, by the token that is passed on.

    path, method ──► routes ──► arguments ──► link ──► daemon
                                               │
                            JSON, or NDJSON ◄──┘   an error has one form everywhere (`refusals`)

A stream answers with a line an item. Once its first line is out its status can't change: what goes wrong then is told
in a last line, {"error": …}. Blank lines are signs of life.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from engine.async_client import AsyncClient
from engine.errors import EngineError, NotFound, Unauthenticated, Unavailable
from engine.gateway import openapi
from engine.gateway.arguments import of_body, of_query
from engine.gateway.asgi import JSON, BodyTooLarge, Disconnected, NoRoom, answer, read_body
from engine.gateway.refusals import TooLarge, WrongMethod, as_map, refuse
from engine.gateway.routes import PREFIX, SUBMITS, match
from engine.gateway.shown import as_json, shown
from engine.gateway.submitting import parse_submit
from engine.session import OnBehalf
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from engine.gateway.asgi import Budget, Receive, Scope, Send
    from engine.gateway.link import Link
    from engine.gateway.routes import Match, Route

BODY_BYTES_MAX: Final = wire.CLIENT_FRAME_BYTES_MAX
STREAMS_MAX: Final = 64
"""Streams at once; each holds a request of a connection to the daemon."""
SUBMITS_MAX: Final = 16
"""Submits at once; each has a connection of its own."""
FIRST_ITEM_S: Final = 1.0
"""How long the status waits for what the first item, or an error, says of it."""
ALIVE_EVERY_S: Final = 15.0
SEND_S_MAX: Final = 30.0
"""A client that doesn't take a line for so long is left."""
NDJSON: Final = (b"content-type", b"application/x-ndjson")


class Control:
    """The control API."""

    def __init__(self, link: Link, budget: Budget) -> None:
        self._link = link
        self._budget = budget
        self._streams = 0
        self._submits = asyncio.Semaphore(SUBMITS_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            await self._answer(scope, receive, send)
        except EngineError as error:
            await refuse(send, error)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("ascii", "replace").removeprefix(PREFIX)
        headers = dict(scope["headers"])
        found = match(path)
        if path == openapi.PATH and scope["method"] in {"GET", "HEAD"}:
            await answer(send, 200, openapi.as_bytes(), [JSON])
            return
        route = _route_of(found, scope["method"], path)
        assert found is not None
        body = await body_of(receive, self._budget)
        if route.is_in_query:
            arguments = of_query(route, scope["query_string"], found.arguments)
        else:
            arguments = of_body(headers.get(b"content-type", b""), body, found.arguments)
        whose = OnBehalf(bearer(headers), client_of(scope))
        if route.operation in SUBMITS:
            await self._submit(route.operation, arguments, whose, send)
        elif route.is_stream:
            await self._stream(route, arguments, whose, receive, send)
        else:
            value = await self._link.calls.call_for(whose, route.operation, arguments)
            await answer(send, 200, as_json(shown(route.operation, value)), [JSON])

    # --- Events

    async def _submit(self, operation: str, arguments: dict[str, Any], whose: OnBehalf, send: Send) -> None:
        name, events, is_deduped = parse_submit(arguments)
        if whose.token is None:  # a connection without one may do what the gateway's user may
            raise Unauthenticated("this takes a token", remedy="an owner makes one: `engine token create`")
        async with self._submits, AsyncClient(self._link.path, token=whose.token) as client:
            result = await client.submit(
                name, events, dedupe=is_deduped, to_source=operation == "source.submit"
            )
        value = {"accepted": result.accepted, "duplicates": result.duplicates}
        await answer(send, 200, as_json(value), [JSON])

    # --- Streams

    async def _stream(
        self, route: Route, arguments: dict[str, Any], whose: OnBehalf, receive: Receive, send: Send
    ) -> None:
        if self._streams >= STREAMS_MAX:
            raise Unavailable(f"{STREAMS_MAX} streams are open here", remedy="end one, or try again later")
        self._streams += 1
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            async with contextlib.aclosing(
                self._link.calls.stream_for(whose, route.operation, arguments)
            ) as items:
                await _Lines(route.operation, items, gone, send).run()
        finally:
            self._streams -= 1
            gone.cancel()


class _Lines:
    """One stream on its way to its client."""

    def __init__(
        self,
        operation: str,
        items: AsyncGenerator[dict[str, Any], None],
        gone: asyncio.Future[None],
        send: Send,
    ) -> None:
        self._operation = operation
        self._items = items
        self._gone = gone
        self._send = send
        self._is_begun = False

    async def run(self) -> None:
        """Until it ends or the client is gone. Raises `EngineError` for what went wrong before the first line."""
        pause_s = FIRST_ITEM_S
        coming: asyncio.Future[dict[str, Any]] | None = None
        try:
            while not self._gone.done():
                if coming is None:
                    coming = asyncio.ensure_future(anext(self._items))
                waiting: set[asyncio.Future[Any]] = {coming, self._gone}
                await asyncio.wait(waiting, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
                pause_s = ALIVE_EVERY_S
                if not coming.done():
                    await self._line(b"\n" if self._is_begun else b"")
                    continue
                ended, coming = coming, None
                await self._line(as_json(shown(self._operation, ended.result())) + b"\n")
        except StopAsyncIteration:
            await self._line(b"", is_last=True)
        except EngineError as error:
            if not self._is_begun:
                raise
            await self._line(as_json(as_map(error)) + b"\n", is_last=True)
        except TimeoutError:
            raise Disconnected from None
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.wait([coming])

    async def _line(self, line: bytes, *, is_last: bool = False) -> None:
        async with asyncio.timeout(SEND_S_MAX):
            if not self._is_begun:
                self._is_begun = True
                await self._send({"type": "http.response.start", "status": 200, "headers": [NDJSON]})
            await self._send({"type": "http.response.body", "body": line, "more_body": not is_last})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _route_of(found: Match | None, method: str, path: str) -> Route:
    """Raises `NotFound`, or `WrongMethod` naming those there are."""
    if found is None:
        if path == openapi.PATH:
            raise WrongMethod(
                f"{method} isn't answered here", remedy="use GET", data={"allowed": ["GET", "HEAD"]}
            )
        raise NotFound(
            "nothing is at this path", remedy=f"GET {PREFIX}{openapi.PATH} describes what there is"
        )
    route = found.by_method.get(method)
    if route is None:
        allowed = sorted(found.by_method)
        raise WrongMethod(
            f"{method} isn't answered here", remedy=f"use {', '.join(allowed)}", data={"allowed": allowed}
        )
    return route


async def body_of(receive: Receive, budget: Budget) -> bytes:
    """The whole body. Raises `TooLarge`, or `Unavailable` if there is no room for it now."""
    try:
        return await read_body(receive, BODY_BYTES_MAX, budget)
    except BodyTooLarge:
        raise TooLarge(f"the body has more than {BODY_BYTES_MAX} bytes", remedy="send less at once") from None
    except NoRoom:
        raise Unavailable("too many bodies are arriving", remedy="try again in a second") from None


def bearer(headers: dict[bytes, bytes]) -> str | None:
    """The token that was shown, if any."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" and token.strip() else None


def client_of(scope: Scope) -> str:
    """Where a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else "an unknown address"

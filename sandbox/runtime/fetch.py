"""`fetch`: awaited in `async def`, plain in `def`. It goes to the egress, which decides what may be called."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from sandbox.fetch_wire import FOLLOW_REDIRECTS
from sandbox.names import USER_MODULE
from sandbox.runtime.context import CURRENT
from sandbox.runtime.errors import FetchError, NeverAwaited
from sandbox.runtime.request import Request, prepare

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

    from sandbox.runtime.channel import Channel
    from sandbox.runtime.context import Invocation
    from sandbox.runtime.response import Response


class _Link:
    """Which channel this process has: one a worker, made after the fork."""

    __slots__ = ("channel",)

    def __init__(self) -> None:
        self.channel: Channel | None = None


LINK: Final = _Link()


def fetch(  # noqa: PLR0917  an author may pass all by position
    url: str,
    method: str = "GET",
    headers: Any = None,
    params: Any = None,
    json: Any = None,
    data: Any = None,
    content: Any = None,
    files: Any = None,
    timeout_ms: float | None = None,
    follow_redirects: bool = False,
) -> Any:
    """The response; in an `async def` handler, something to await that becomes the response. Raises `FetchError`."""
    request = prepare(url, method, headers, params, json, data, content, files)
    invocation = CURRENT.get()
    if invocation is not None and invocation.is_async:
        return Pending(request, invocation, timeout_ms, follow_redirects=follow_redirects)
    return send(request, timeout_ms, follow_redirects=follow_redirects)


def send(
    request: Request, timeout_ms: float | None, *, follow_redirects: bool, ok_below: int = 300
) -> Response:
    """Send and wait, whatever kind of handler runs. Raises `FetchError`."""
    channel, invocation = _channel(), CURRENT.get()
    assert invocation is not None
    flags = FOLLOW_REDIRECTS if follow_redirects else 0
    return channel.wait(channel.begin(request, invocation, _timeout(timeout_ms), flags, ok_below))


def later(request: Request, timeout_ms: float | None, *, follow_redirects: bool) -> Pending:
    """To be awaited; only where an `async def` handler runs."""
    invocation = CURRENT.get()
    if invocation is None or not invocation.is_async:
        raise TypeError("an AsyncClient is for `async def` handlers; use Client in a `def` handler")
    return Pending(request, invocation, timeout_ms, follow_redirects=follow_redirects)


def _channel() -> Channel:
    if LINK.channel is None:
        raise FetchError("there is no egress here")
    return LINK.channel


def _timeout(timeout_ms: float | None) -> float | None:
    if timeout_ms is None:
        return None
    if isinstance(timeout_ms, bool) or not isinstance(timeout_ms, int | float) or not timeout_ms > 0:
        raise TypeError("timeout_ms is a number of milliseconds above 0")
    return timeout_ms


class Pending:
    """What `fetch` returns in an `async def` handler: nothing is sent until it is awaited."""

    __slots__ = ("_flags", "_invocation", "_request", "_timeout_ms")

    def __init__(
        self, request: Request, invocation: Invocation, timeout_ms: float | None, *, follow_redirects: bool
    ) -> None:
        self._request: Request | None = request
        self._invocation = invocation
        self._timeout_ms = _timeout(timeout_ms)
        self._flags = FOLLOW_REDIRECTS if follow_redirects else 0
        invocation.unawaited[self] = _line()

    def __await__(self) -> Generator[Any, None, Response]:
        request, self._request = self._request, None
        if request is None:
            raise RuntimeError("a fetch is awaited once; keep its response, or call fetch again")
        self._invocation.unawaited.pop(self, None)
        channel = _channel()
        exchange = channel.begin(request, self._invocation, self._timeout_ms, self._flags, 300)
        exchange.future = asyncio.get_running_loop().create_future()
        try:
            yield from exchange.future
        except BaseException:
            channel.abandon(exchange)
            raise
        return channel.result(exchange)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this fetch isn't awaited yet: write (await fetch(…)).{name}")

    def __repr__(self) -> str:
        return "<a fetch that isn't awaited yet>"


def check_awaited(invocation: Invocation) -> None:
    """Raises `NeverAwaited` if the invocation ends with a fetch that was never awaited."""
    if invocation.unawaited:
        line = next(iter(invocation.unawaited.values()))
        invocation.unawaited.clear()
        raise NeverAwaited(line)


def _line() -> int:
    """The author's line that is being run."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  the one way to know who called
    while frame is not None and frame.f_globals.get("__name__") != USER_MODULE:
        frame = frame.f_back
    return frame.f_lineno if frame is not None else 0

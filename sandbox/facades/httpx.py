"""`httpx` as functions use it, over the same path as `fetch`: its functions, `Client`, `AsyncClient` and errors.

One deadline covers a whole call; there are no cookies, proxies or streams. What isn't here says what to use instead.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Self

from sandbox.facades import calls
from sandbox.runtime import errors, fetch
from sandbox.runtime.response import Headers, Response

if TYPE_CHECKING:
    from types import TracebackType

    from sandbox.runtime.request import Request

_UNSET: Final = object()


class _Options:
    """What a client says of all its calls."""

    __slots__ = ("auth", "base_url", "follow_redirects", "headers", "params", "timeout")

    def __init__(
        self,
        *,
        base_url: str = "",
        headers: Any = None,
        params: Any = None,
        auth: Any = None,
        timeout: Any = None,
        follow_redirects: bool = False,
        cookies: Any = None,
        proxy: Any = None,
        cert: Any = None,
    ) -> None:
        for name, value in (("cookies", cookies), ("proxy", proxy), ("cert", cert)):
            if value:
                raise TypeError(f"{name} is not available here")
        self.base_url = str(base_url)
        self.headers = dict(headers.items() if hasattr(headers, "items") else headers or ())
        self.params = params
        self.auth = auth
        self.timeout = timeout
        self.follow_redirects = follow_redirects

    def call(
        self,
        method: str,
        url: str,
        *,
        params: Any = None,
        headers: Any = None,
        auth: Any = _UNSET,
        timeout: Any = _UNSET,
        follow_redirects: bool | None = None,
        cookies: Any = None,
        **body: Any,
    ) -> tuple[Request, float | None, bool]:
        """The request, its deadline in ms, and whether redirects are followed."""
        if isinstance(params, str):
            merged: Any = params
        else:
            merged = calls.merge(self.params, params) if self.params else params
        request = calls.build(
            method,
            calls.join_url(self.base_url, str(url)),
            headers=calls.merge(self.headers, headers),
            auth=self.auth if auth is _UNSET else auth,
            refused=[("cookies", cookies)],
            params=merged,
            **body,
        )
        wait = self.timeout if timeout is _UNSET else timeout
        following = self.follow_redirects if follow_redirects is None else follow_redirects
        return request, calls.timeout_ms(wait), following


class Client:
    """`httpx.Client(base_url=…, headers=…, timeout=…)`."""

    __slots__ = ("_options",)

    def __init__(self, **options: Any) -> None:
        self._options = _Options(**options)

    @property
    def headers(self) -> dict[str, str]:
        """Sent with every call; may be changed."""
        headers: dict[str, str] = self._options.headers
        return headers

    def request(self, method: str, url: str, **options: Any) -> Response:
        """Send and wait. Raises `httpx.HTTPError`."""
        request, timeout_ms, following = self._options.call(method, url, **options)
        return fetch.send(request, timeout_ms, follow_redirects=following)

    get, post, put, patch, delete, head, options = calls.verbs(request)

    def close(self) -> None:
        """Nothing is held: connections are the engine's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class AsyncClient:
    """`httpx.AsyncClient(base_url=…, headers=…, timeout=…)`: its calls are awaited."""

    __slots__ = ("_options",)

    def __init__(self, **options: Any) -> None:
        self._options = _Options(**options)

    @property
    def headers(self) -> dict[str, str]:
        """Sent with every call; may be changed."""
        headers: dict[str, str] = self._options.headers
        return headers

    def request(self, method: str, url: str, **options: Any) -> fetch.Pending:
        """Await it for the response. Raises `httpx.HTTPError`."""
        request, timeout_ms, following = self._options.call(method, url, **options)
        return fetch.later(request, timeout_ms, follow_redirects=following)

    get, post, put, patch, delete, head, options = calls.verbs(request)

    async def aclose(self) -> None:
        """Nothing is held: connections are the engine's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def basic_auth(username: str, password: str) -> tuple[str, str]:
    """`httpx.BasicAuth(username, password)`: what `auth` takes."""
    return username, password


NAMES: Final[dict[str, Any]] = {
    **calls.functions(Client),
    "Client": Client,
    "AsyncClient": AsyncClient,
    "Response": Response,
    "Headers": Headers,
    "Timeout": calls.Timeout,
    "BasicAuth": basic_auth,
    "HTTPError": errors.FetchError,
    "RequestError": errors.RequestError,
    "TransportError": errors.RequestError,
    "TimeoutException": errors.FetchTimeout,
    "ConnectTimeout": errors.FetchTimeout,
    "ReadTimeout": errors.FetchTimeout,
    "NetworkError": errors.ConnectionFailed,
    "ConnectError": errors.ConnectionFailed,
    "ReadError": errors.ConnectionFailed,
    "RemoteProtocolError": errors.ConnectionFailed,
    "InvalidURL": errors.AddressRefused,
    "HTTPStatusError": errors.HTTPStatusError,
    "DecodingError": json.JSONDecodeError,
}
"""What may be imported of it."""

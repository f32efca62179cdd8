"""`requests` as functions use it, over the same path as `fetch`: its functions, `Session` and exceptions.

As in the library redirects are followed unless `allow_redirects=False`, and a response is true if its status is below 400.
One deadline covers a whole call; there are no cookies, proxies, streams or adapters.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Self

from sandbox.facades import calls
from sandbox.runtime import errors, fetch
from sandbox.runtime.response import Response

if TYPE_CHECKING:
    from types import TracebackType

_OK_BELOW: Final = 400


class Session:
    """`requests.Session()`: headers, parameters and auth of all its calls."""

    __slots__ = ("auth", "headers", "params")

    def __init__(self) -> None:
        self.headers: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self.auth: Any = None

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Any = None,
        data: Any = None,
        json: Any = None,
        headers: Any = None,
        files: Any = None,
        auth: Any = None,
        timeout: Any = None,
        allow_redirects: bool = True,
        cookies: Any = None,
        proxies: Any = None,
        stream: bool = False,
        cert: Any = None,
        verify: Any = True,
    ) -> Response:
        """Send and wait. Raises `requests.RequestException`."""
        if verify is not True:
            raise TypeError(
                "certificates are always checked; the operator can have the engine trust others (egress_ca_file)"
            )
        is_plain = isinstance(params, str | bytes)
        request = calls.build(
            method,
            str(url),
            headers=calls.merge(self.headers, headers),
            auth=auth or self.auth,
            refused=[("cookies", cookies), ("proxies", proxies), ("stream", stream), ("cert", cert)],
            params=params if is_plain or not self.params else calls.merge(self.params, params),
            data=data,
            json=json,
            files=files,
        )
        return fetch.send(
            request, calls.timeout_ms(timeout), follow_redirects=allow_redirects, ok_below=_OK_BELOW
        )

    get, post, put, patch, delete, head, options = calls.verbs(
        request,
        positional={"get": ("params",), "post": ("data", "json"), "put": ("data",), "patch": ("data",)},
        defaults={"head": {"allow_redirects": False}},
    )

    def close(self) -> None:
        """Nothing is held: connections are the engine's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


EXCEPTIONS: Final[dict[str, Any]] = {
    "RequestException": errors.FetchError,
    "HTTPError": errors.HTTPStatusError,
    "ConnectionError": errors.ConnectionFailed,
    "SSLError": errors.ConnectionFailed,
    "Timeout": errors.FetchTimeout,
    "ConnectTimeout": errors.FetchTimeout,
    "ReadTimeout": errors.FetchTimeout,
    "TooManyRedirects": errors.AddressRefused,
    "InvalidURL": errors.AddressRefused,
    "JSONDecodeError": json.JSONDecodeError,
}
NAMES: Final[dict[str, Any]] = {
    **calls.functions(Session),
    "Session": Session,
    "session": Session,
    "Response": Response,
    **EXCEPTIONS,
}
"""What may be imported of it."""

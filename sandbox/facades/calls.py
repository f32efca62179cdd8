"""What the `httpx` and `requests` facades share: their arguments → a request of `fetch`, on the same path."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urljoin

from sandbox.runtime.request import Request, header_pairs, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

A = TypeVar("A")
MILLISECONDS: Final = 1000.0
VERBS: Final = ("get", "post", "put", "patch", "delete", "head", "options")


class Timeout:
    """`httpx.Timeout(10.0)`, `httpx.Timeout(10.0, connect=5.0)`: here one deadline covers all, the longest that is named."""

    __slots__ = ("seconds",)

    def __init__(self, timeout: float | None = None, **parts: float | None) -> None:
        named = [value for value in (timeout, *parts.values()) if value is not None]
        self.seconds = max(named) if named else None


def timeout_ms(timeout: Any) -> float | None:
    """Seconds, several of them, or a `Timeout` → milliseconds over all; None if there is no limit but the invocation's."""
    if isinstance(timeout, Timeout):
        timeout = timeout.seconds
    if isinstance(timeout, tuple):
        timeout = Timeout(None, **{str(at): value for at, value in enumerate(timeout)}).seconds
    return None if timeout is None else float(timeout) * MILLISECONDS


def join_url(base: str, url: str) -> str:
    """`url`, below `base` if it is relative: as httpx joins them, `base` is a folder."""
    if not base or "://" in url:
        return url
    return urljoin(base if base.endswith("/") else f"{base}/", url.lstrip("/"))


def merge(first: Any, second: Any) -> dict[str, Any]:
    """What the client says of all calls, and over it what a call says; of a header or parameter the last one counts."""
    merged: dict[str, Any] = {}
    for part in (first, second):
        for name, value in part.items() if hasattr(part, "items") else part or ():
            for known in [key for key in merged if str(key).lower() == str(name).lower()]:
                del merged[known]
            if value is not None:
                merged[name] = value
    return merged


def build(
    method: str,
    url: str,
    *,
    headers: Any = None,
    auth: Any = None,
    refused: Sequence[tuple[str, Any]] = (),
    **body: Any,
) -> Request:
    """The request. Raises `TypeError` on what can't be done here, naming what to do instead."""
    for name, value in refused:
        if value:
            raise TypeError(f"{name} is not available: {_REMEDIES.get(name, 'leave it out')}")
    pairs = header_pairs(headers)
    if auth is not None:
        pairs = [pair for pair in pairs if pair[0].lower() != "authorization"]
        pairs.append(("Authorization", basic(auth)))
    return prepare(url, method, pairs, **body)


def verbs(
    request: Callable[..., A],
    *,
    positional: Mapping[str, tuple[str, ...]] | None = None,
    defaults: Mapping[str, dict[str, Any]] | None = None,
) -> tuple[Callable[..., A], ...]:
    """A client's methods `VERBS`, in that order, each of which is its `request` with another method.

    `positional` names what a verb takes after the URL without its name, `defaults` what it means if nothing is said.
    """

    def verb(name: str) -> Callable[..., A]:
        method, names, meant = name.upper(), (positional or {}).get(name, ()), (defaults or {}).get(name, {})

        def call(client: Any, url: str, *values: Any, **options: Any) -> A:
            if len(values) > len(names):
                raise TypeError(f"{name}() takes {', '.join(('a URL', *names))}; name what is more")
            for key, value in zip(names, values, strict=False):
                if key in options:
                    raise TypeError(f"{name}() got {key} twice")
                options[key] = value
            return request(client, method, url, **{**meant, **options})

        call.__name__ = call.__qualname__ = name
        return call

    return tuple(map(verb, VERBS))


def functions(make: Callable[[], Any]) -> dict[str, Callable[..., Any]]:
    """`VERBS` and `request` as a module has them: each call has a client of its own."""

    def function(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(make(), name)(*arguments, **options)

        call.__name__ = call.__qualname__ = name
        return call

    return {name: function(name) for name in (*VERBS, "request")}


_REMEDIES: Final = {
    "cookies": "there is no cookie jar; send a Cookie header",
    "stream": "a response is whole when you get it",
    "cert": "the operator can have the engine trust a private authority (egress_ca_file)",
    "proxies": "the engine calls directly",
    "proxy": "the engine calls directly",
}


def basic(auth: Any) -> str:
    """(user, password) → the value of `Authorization`."""
    if not isinstance(auth, tuple | list) or len(auth) != 2:
        raise TypeError("auth is (user, password); for anything else send an Authorization header")
    user, password = auth
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")

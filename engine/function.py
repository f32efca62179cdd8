"""What a function's author imports: `from engine.function import fetch, cache, console, RetryError, Event, Settings`.

Inside the engine these names resolve to the real things, and need no import at all. Here they are for editors and type
checkers, and so that a function can be imported in plain pytest: errors are real, `console` prints, `cache` keeps, and
`fetch` says that it works in the engine only.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypedDict, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence

__all__ = [
    "AddressRefused",
    "AliasEvent",
    "ConnectionFailed",
    "Context",
    "DeleteEvent",
    "DropEvent",
    "Event",
    "EventNotSupported",
    "FetchError",
    "FetchTimeout",
    "GroupEvent",
    "HTTPStatusError",
    "IdentifyEvent",
    "InvalidEventPayload",
    "PageEvent",
    "Response",
    "ResponseTooLarge",
    "RetryError",
    "ScreenEvent",
    "Settings",
    "TooManyRequests",
    "TrackEvent",
    "ValidationError",
    "cache",
    "console",
    "fetch",
]

Value = TypeVar("Value")

# --- Errors: what a handler raises to say what becomes of the event


class FunctionError(Exception):
    """Base of the errors below; `code` is the outcome code. Subclasses of yours keep their parent's."""

    code: ClassVar[str] = "bad_request"


class EventNotSupported(FunctionError):
    """This function doesn't handle such events: discarded, counted."""

    code = "unsupported_event_type"


class InvalidEventPayload(FunctionError):
    """The event lacks something or has it wrong: discarded."""

    code = "message_rejected"


class ValidationError(FunctionError):
    """The event isn't valid for this function: discarded."""

    code = "message_rejected"


class DropEvent(FunctionError):
    """The function doesn't want this event: discarded, and no failure."""

    code = "dropped"


class InvalidSettings(FunctionError):
    """A setting is missing: discarded. The engine raises it; a function needn't."""

    code = "invalid_settings"


class RetryError(FunctionError):
    """Try again later; `after_ms` asks for a pause of at least so many milliseconds."""

    code = "retry"

    def __init__(self, message: object = "", after_ms: float | None = None) -> None:
        super().__init__(message)
        self.after_ms = after_ms


# --- Events: dicts, one shape a type


class Context(TypedDict, total=False):
    """`event["context"]`: where the event came from."""

    active: bool
    app: dict[str, Any]
    campaign: dict[str, Any]
    device: dict[str, Any]
    ip: str
    library: dict[str, Any]
    locale: str
    location: dict[str, Any]
    network: dict[str, Any]
    os: dict[str, Any]
    page: dict[str, Any]
    referrer: dict[str, Any]
    screen: dict[str, Any]
    timezone: str
    traits: dict[str, Any]
    userAgent: str


class _Common(TypedDict, total=False):
    messageId: str
    anonymousId: str | None
    userId: str | None
    timestamp: str
    sentAt: str
    receivedAt: str
    originalTimestamp: str
    context: Context
    integrations: dict[str, Any]
    version: str | int


class IdentifyEvent(_Common, total=False):
    """Who a user is: `traits`."""

    type: Literal["identify"]
    traits: dict[str, Any]


class TrackEvent(_Common, total=False):
    """What a user did: `event` is its name, `properties` its details."""

    type: Literal["track"]
    event: str
    properties: dict[str, Any]


class PageEvent(_Common, total=False):
    """Which page of a website a user saw."""

    type: Literal["page"]
    name: str
    category: str
    properties: dict[str, Any]


class ScreenEvent(_Common, total=False):
    """Which screen of an app a user saw."""

    type: Literal["screen"]
    name: str
    category: str
    properties: dict[str, Any]


class GroupEvent(_Common, total=False):
    """Which group a user belongs to: `groupId`, `traits` of the group."""

    type: Literal["group"]
    groupId: str
    traits: dict[str, Any]


class AliasEvent(_Common, total=False):
    """That two ids are one user: `previousId` is now `userId`."""

    type: Literal["alias"]
    previousId: str


class DeleteEvent(_Common, total=False):
    """That a user is to be forgotten."""

    type: Literal["delete"]


class Event(_Common, total=False):
    """Any event, for handlers of several types: `event["type"]` tells which of these keys are there."""

    type: Literal["identify", "track", "page", "screen", "group", "alias", "delete"]
    event: str
    name: str
    category: str
    properties: dict[str, Any]
    traits: dict[str, Any]
    groupId: str
    previousId: str


class Settings:
    """`settings.apiKey`, `settings["apiKey"]`, `settings.get("apiKey")`, `"apiKey" in settings`; read-only.

    In a test: `Settings(apiKey="…")`. A missing setting raises `InvalidSettings`, except from `get`.
    """

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "_values", values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        values: dict[str, Any] = self._values
        if name not in values:
            raise InvalidSettings(
                f"the setting {name!r} is missing; there are: {', '.join(sorted(values)) or 'none'}"
            )
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(f"settings are read-only; {name!r} can't be set")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        """The setting, or `default` if it is missing."""
        values: dict[str, Any] = self._values
        return values.get(name, default)


# --- Tools


class Console:
    """Lines that are kept with the invocation in the engine; here they are printed."""

    def log(self, *values: object) -> None:
        """Keep a line at level info."""
        print(*values)  # noqa: T201  what a console does

    info = warn = error = debug = log


class Cache:
    """Values kept between invocations of one worker; may be emptied at any time."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Any, float]] = {}

    @overload
    def load(self, key: str, ttl_ms: Callable[[], Value], /) -> Value: ...
    @overload
    def load(self, key: str, ttl_ms: float, fn: Callable[[], Value]) -> Value: ...
    def load(self, key: str, ttl_ms: Any = -1, fn: Any = None) -> Any:
        """The value of `key`, made by `fn()` if it is missing or older than `ttl_ms` (-1: no expiry).

        In `async def` handlers `fn` is `async def` too, and the call is awaited. What `fn` raises isn't kept.
        """
        if fn is None:
            ttl_ms, fn = -1, ttl_ms
        if inspect.iscoroutinefunction(fn):
            return self._load_async(key, ttl_ms, fn)
        if not self._is_fresh(key):
            self._keep(key, ttl_ms, fn())
        return self._entries[key][0]

    async def _load_async(self, key: str, ttl_ms: float, fn: Callable[[], Awaitable[Any]]) -> Any:
        if not self._is_fresh(key):
            self._keep(key, ttl_ms, await fn())
        return self._entries[key][0]

    def delete(self, key: str) -> None:
        """Forget the value of `key`, if there is one."""
        self._entries.pop(key, None)

    def _is_fresh(self, key: str) -> bool:
        return key in self._entries and self._entries[key][1] > time.monotonic()

    def _keep(self, key: str, ttl_ms: float, value: Any) -> None:
        self._entries[key] = (value, time.monotonic() + ttl_ms / 1000 if ttl_ms >= 0 else float("inf"))


# --- fetch


class FetchError(FunctionError):
    """Base of what `fetch` raises. Uncaught, `FetchTimeout` and `ConnectionFailed` are retried, the others discarded."""


class FetchTimeout(FetchError):
    """No complete answer in time."""

    code = "retry"


class ConnectionFailed(FetchError):
    """The host can't be found or reached, its certificate isn't valid, or it hung up."""

    code = "retry"


class AddressRefused(FetchError):
    """The engine doesn't call this URL: it isn't public, or the operator forbids it."""


class ResponseTooLarge(FetchError):
    """The response, or what it decodes to, is longer than allowed."""


class TooManyRequests(FetchError):
    """The invocation has made as many fetches as it may."""


class HTTPStatusError(FetchError):
    """`raise_for_status` met a status of 400 or more. Uncaught, 429 and 5xx are retried, the others discarded."""

    response: Response


class Response(Protocol):
    """What `fetch` answers, whole."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def status_code(self) -> int:
        """The status code."""

    @property
    def ok(self) -> bool:
        """The status is 200 to 299."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers; names without regard to case."""

    @property
    def url(self) -> str:
        """Where it came from: the last URL, if redirects were followed."""

    @property
    def elapsed_ms(self) -> float:
        """From the call to the last byte."""

    @property
    def content(self) -> bytes:
        """The body."""

    @property
    def text(self) -> str:
        """The body as text."""

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` if it isn't."""

    def raise_for_status(self) -> Response:
        """Itself; raises `HTTPStatusError` if the status is 400 or more."""


class _Fetched(Response, Protocol):
    """The response in a `def` handler; in an `async def` handler, what is awaited to get it."""

    def __await__(self) -> Generator[Any, None, Response]: ...


class NoEgressError(RuntimeError):
    """`fetch` was called outside the engine."""


def fetch(  # noqa: PLR0917  an author may pass all by position
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | Sequence[tuple[str, Any]] | str | None = None,
    json: Any = None,
    data: Mapping[str, Any] | Sequence[tuple[str, Any]] | str | bytes | None = None,
    content: str | bytes | None = None,
    files: Mapping[str, Any] | None = None,
    timeout_ms: float | None = None,
    follow_redirects: bool = False,
) -> _Fetched:
    """Send a request, and await it in an `async def` handler; in a `def` handler the response is what it returns.

    `json`, `content` and `data` (a form, with `files` a multipart one) exclude each other. `timeout_ms` covers all of
    it and never outlasts the invocation. Raises `FetchError`. Here, outside the engine, it raises `NoEgressError`.
    """
    del method, headers, params, json, data, content, files, timeout_ms, follow_redirects
    raise NoEgressError(
        f"fetch works inside the engine only; {url} was not called. In a test use the `deploy` fixture of engine.testing"
    )


cache = Cache()
console = Console()

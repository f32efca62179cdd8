"""What a function's author imports: for the editor, for ruff and mypy, and for plain pytest.

Inside the sandbox these names are what the worker provides; here they are stand-ins that behave alike as far as a
unit test can see. `fetch` isn't available yet and says so.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FunctionError(Exception):
    """Base of the errors that say what kind of failure it was."""

    code: ClassVar[str] = "bad_request"


class EventNotSupported(FunctionError):
    """This function doesn't handle such events."""

    code = "unsupported_event_type"


class InvalidEventPayload(FunctionError):
    """The event lacks something or has it wrong."""

    code = "message_rejected"


class ValidationError(FunctionError):
    """The event isn't valid for this function."""

    code = "message_rejected"


class DropEvent(FunctionError):
    """The function doesn't want this event; no failure."""

    code = "dropped"


class InvalidSettings(FunctionError):
    """A setting is missing or has a wrong value."""

    code = "invalid_settings"


class RetryError(FunctionError):
    """Try again later; `after_ms` asks for a pause of at least so many milliseconds."""

    code = "retry"

    def __init__(self, message: object = "", after_ms: float | None = None) -> None:
        super().__init__(message)
        self.after_ms = after_ms


class Context(TypedDict, total=False):
    """Where an event comes from."""

    ip: str
    userAgent: str
    locale: str
    timezone: str
    library: dict[str, str]
    page: dict[str, Any]
    device: dict[str, Any]
    os: dict[str, Any]
    app: dict[str, Any]
    campaign: dict[str, Any]


class Event(TypedDict, total=False):
    """What all events have."""

    type: Literal["identify", "track", "page", "screen", "group", "alias", "delete"]
    messageId: str
    anonymousId: str | None
    userId: str | None
    timestamp: str
    sentAt: str
    receivedAt: str
    originalTimestamp: str
    context: Context
    integrations: dict[str, Any]
    version: Any


class IdentifyEvent(Event, total=False):
    """What is known about a user."""

    traits: dict[str, Any]


class TrackEvent(Event, total=False):
    """What a user did."""

    event: str
    properties: dict[str, Any]


class PageEvent(Event, total=False):
    """A page that was seen."""

    name: str
    category: str
    properties: dict[str, Any]


class ScreenEvent(Event, total=False):
    """A screen that was seen."""

    name: str
    category: str
    properties: dict[str, Any]


class GroupEvent(Event, total=False):
    """What is known about a group."""

    groupId: str
    traits: dict[str, Any]


class AliasEvent(Event, total=False):
    """Two ids that are one user."""

    previousId: str


class DeleteEvent(Event, total=False):
    """A user to be forgotten."""


class Settings:
    """Read-only settings: `settings.apiKey`, `settings["apiKey"]`, `.get`, `in`."""

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "_values", values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        values: dict[str, Any] = self._values
        if name not in values:
            raise InvalidSettings(f"the setting {name!r} is missing")
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(f"settings are read-only; {name!r} can't be set")

    def get(self, name: str, default: Any = None) -> Any:
        """The setting, or `default` if it is missing."""
        values: dict[str, Any] = self._values
        return values.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)


class Cache:
    """`load(key, fn)` or `load(key, ttl_ms, fn)`; `delete(key)`. Nothing expires here."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def load(self, key: str, ttl_ms: Any = -1, fn: Callable[[], Any] | None = None) -> Any:
        """The value of `key`, made by `fn()` if it is missing; with an `async def` function it is awaited."""
        make: Callable[[], Any] = fn if fn is not None else ttl_ms
        if inspect.iscoroutinefunction(make):
            return self._load_async(key, make)
        if key not in self._values:
            self._values[key] = make()
        return self._values[key]

    async def _load_async(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._values:
            self._values[key] = await make()
        return self._values[key]

    def delete(self, key: str) -> None:
        """Forget the value of `key`."""
        self._values.pop(key, None)


class Console:
    """Prints, so that pytest shows it."""

    def log(self, *values: Any) -> None:
        """Level info."""
        print(*values)  # noqa: T201  what a console is for

    info = warn = error = debug = log


def fetch(url: str, **options: Any) -> NoReturn:
    """Raise: functions can't make HTTP calls in this version."""
    del options
    raise RuntimeError(f"fetch is not available yet: {url} was not called")


cache = Cache()
console = Console()

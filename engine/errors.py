"""One tree of errors: each has a stable code, says what happened and how to mend it.

EngineError
├── UsageError            the caller's input                                     exit status 2
│   ├── InvalidEvent      an event, with its line or index
│   ├── FunctionRefused   code that doesn't compile, load or define handlers      exit status 1
│   ├── NotFound          a name that doesn't exist
│   └── Conflict          what exists is in the way (events waiting, say)
├── Unauthenticated       nobody knows the token
│   └── TooManyTries      and it was tried too often                          exit status 75
├── Forbidden             whoever it is may not
├── Unavailable           no daemon, or it can't take this now                    exit status 69
│   ├── JournalFull       what is accepted stays; nothing new is taken
│   └── QueueFull         one destination takes no more for now                  exit status 75
└── ConfigurationError    a setting                                               exit status 78

What crosses the socket is `code`, `message`, `remedy` and `data`; `from_wire` makes the same class again.
"""

from __future__ import annotations

from typing import Any, ClassVar


class EngineError(Exception):
    """Base of all: `message` says what and why, `remedy` what to do next, `data` holds particulars (msgpack types)."""

    code: ClassVar[str] = "internal_error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "", data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.data = data or {}

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.remedy}" if self.remedy else self.message


class UsageError(EngineError):
    """What the caller asked for can't be asked."""

    code = "invalid_request"
    exit_status = 2


class InvalidEvent(UsageError):
    """`data` holds `index` (from 0) and, where events came from text, `line` (from 1)."""

    code = "invalid_event"


class FunctionRefused(UsageError):
    """`data["diagnostics"]`: maps with line, column, rule, message, remedy, source_line; or `data["error"]`."""

    code = "function_refused"
    exit_status = 1


class NotFound(UsageError):
    """No such thing."""

    code = "not_found"


class Conflict(UsageError):
    """Something that exists is in the way."""

    code = "conflict"


class Unauthenticated(EngineError):
    """A token, or a write key, that isn't known, or not any more."""

    code = "unauthenticated"


class TooManyTries(Unauthenticated):
    """`data` holds `retry_after_ms`."""

    code = "too_many_tries"
    exit_status = 75


class Forbidden(EngineError):
    """Whoever it is may not do this; where it is for want of a role, `data["roles"]` holds those that are missing."""

    code = "forbidden"


class Unavailable(EngineError):
    """The daemon isn't there, is stopping, or can't take this now."""

    code = "unavailable"
    exit_status = 69


class JournalFull(Unavailable):
    """The disk or the journal's limit is reached."""

    code = "journal_full"


class QueueFull(Unavailable):
    """One destination has as many events stored as it may; `data` holds stored, queue_events and retry_after_ms."""

    code = "queue_full"
    exit_status = 75


class ConfigurationError(EngineError):
    """A setting is unknown, out of bounds or contradicts another."""

    code = "bad_configuration"
    exit_status = 78


_BY_CODE: dict[str, type[EngineError]] = {
    cls.code: cls
    for cls in (
        EngineError,
        UsageError,
        InvalidEvent,
        FunctionRefused,
        NotFound,
        Conflict,
        Unauthenticated,
        TooManyTries,
        Forbidden,
        Unavailable,
        JournalFull,
        QueueFull,
        ConfigurationError,
    )
}


def from_wire(code: str, message: str, remedy: str, data: dict[str, Any]) -> EngineError:
    """The error that the other side raised; an unknown code becomes a plain `EngineError`."""
    return _BY_CODE.get(code, EngineError)(message, remedy=remedy, data=data)

"""Errors as HTTP has them: a status for each class, one form for all, nothing of how the program is made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from engine.errors import (
    ConfigurationError,
    Conflict,
    EngineError,
    Forbidden,
    FunctionRefused,
    InvalidEvent,
    JournalFull,
    NotFound,
    QueueFull,
    TooManyTries,
    Unauthenticated,
    Unavailable,
    UsageError,
)
from engine.gateway.asgi import answer_json

if TYPE_CHECKING:
    from engine.gateway.asgi import Headers, Send

STATUSES: Final[dict[type[EngineError], int]] = {
    UsageError: 400,
    InvalidEvent: 400,
    FunctionRefused: 422,
    NotFound: 404,
    Conflict: 409,
    Unauthenticated: 401,
    TooManyTries: 429,
    Forbidden: 403,
    Unavailable: 503,
    JournalFull: 503,
    QueueFull: 429,
    ConfigurationError: 500,
    EngineError: 500,
}
"""Class → status."""
RETRY_AFTER_S: Final = 1
"""Where the error doesn't know better."""


class WrongMethod(UsageError):
    """The path is there, but not for this method; `data["allowed"]` names those there are."""


class TooLarge(UsageError):
    """The body is longer than is allowed."""


class WrongType(UsageError):
    """The body is said to be something else than JSON."""


_HERE: Final[dict[type[EngineError], int]] = {WrongMethod: 405, TooLarge: 413, WrongType: 415}
"""Errors of HTTP itself; their code is `invalid_request`."""


def status_of(error: EngineError) -> int:
    """The status that an error is answered with."""
    return {**STATUSES, **_HERE}[type(error)]


def headers_of(error: EngineError, status: int) -> Headers:
    """What goes with it: when to try again, what is allowed, how to say who one is."""
    if status in {429, 503}:
        after_s = math.ceil(error.data.get("retry_after_ms", RETRY_AFTER_S * 1000) / 1000)
        return [(b"retry-after", b"%d" % max(after_s, 1))]
    if status == 401:
        return [(b"www-authenticate", b"Bearer")]
    if isinstance(error, WrongMethod):
        return [(b"allow", ", ".join(error.data["allowed"]).encode())]
    return []


def as_map(error: EngineError) -> dict[str, Any]:
    """The body: {error: {code, message, remedy, data}}."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "remedy": error.remedy,
            "data": error.data,
        }
    }


async def refuse(send: Send, error: EngineError) -> None:
    """Answer with it."""
    status = status_of(error)
    await answer_json(send, status, as_map(error), headers_of(error, status))

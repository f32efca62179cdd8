"""What a handler may raise, and what ends it. Each class carries the outcome code it stands for.

The names are the document's ("pre-defined error types"), `DropEvent` and `InvalidSettings` beside them. Subclasses
that authors make keep their parent's code.
"""

from __future__ import annotations

from typing import ClassVar


class FunctionError(Exception):
    """Base of the errors that say what kind of failure it was."""

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


class InvalidSettings(FunctionError):
    """A setting is missing or has a wrong value: discarded."""

    code = "invalid_settings"


class DropEvent(FunctionError):
    """The function doesn't want this event: discarded, and no failure."""

    code = "dropped"


class RetryError(FunctionError):
    """Try again later; `after_ms` asks for a pause of at least so many milliseconds."""

    code = "retry"

    def __init__(self, message: object = "", after_ms: float | None = None) -> None:
        super().__init__(message)
        self.after_ms = after_ms


class Fatal(BaseException):
    """Ends an invocation; the compiler puts `except Fatal: raise` first in every `try` of a function."""


class DeadlineExceeded(Fatal):
    """The invocation has run for `timeout_ms`."""


# --- fetch


class FetchError(FunctionError):
    """Base of what `fetch` raises. Uncaught, `FetchTimeout` and `ConnectionFailed` are retried, the others discarded."""


class RequestError(FetchError):
    """It could not be sent, or was not answered."""


class FetchTimeout(RequestError):
    """No complete answer in time."""

    code = "retry"


class ConnectionFailed(RequestError):
    """The host can't be found or reached, its certificate isn't valid, or it hung up."""

    code = "retry"


class AddressRefused(RequestError):
    """The engine doesn't call this URL: it isn't public, or the operator forbids it."""


class ResponseTooLarge(RequestError):
    """The response, or what it decodes to, is longer than allowed."""


class TooManyRequests(RequestError):
    """The invocation has made as many fetches as it may."""


class HTTPStatusError(FetchError):
    """`raise_for_status` met a status of 400 or more: `response` has it.

    429 and 5xx may be better later, as in the statuses that a batch handler returns: uncaught, they are retried.
    """

    def __init__(self, message: object = "", *, response: object = None) -> None:
        super().__init__(message)
        self.response = response


class NeverAwaited(FetchError):
    """A handler ended, and a fetch that it made was never awaited: it was never sent."""

    def __init__(self, line: int) -> None:
        super().__init__(
            f"the fetch in line {line} was never awaited, so it was not sent; write await fetch(…)"
        )
        self.line = line

"""Handlers: which ones a module defines, and what a call of one came to."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from sandbox.names import unmangle
from sandbox.runtime.ending import members
from sandbox.runtime.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    DropEvent,
    EventNotSupported,
    FetchTimeout,
    HTTPStatusError,
    InvalidEventPayload,
    InvalidSettings,
    NeverAwaited,
    RetryError,
    ValidationError,
)
from sandbox.runtime.response import Response
from sandbox.wire import EVENT_TYPES, Handler

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

HANDLER_NAMES: Final = {
    spelling: event_type
    for event_type in (*EVENT_TYPES, "batch")
    for spelling in (f"on_{event_type}", f"on{event_type.capitalize()}")
}
MESSAGE_CHARS_MAX: Final = 2_000
FRAMES_MAX: Final = 20
RESULT_CHARS_MAX: Final = 4_000


class HandlersRefused(Exception):
    """The module's handlers can't be used; `problems` are maps with line, rule, message, remedy."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(problems[0]["message"])
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Callback:
    """A handler with what the loop needs to know to call it."""

    call: Callable[..., Any]
    is_async: bool
    takes_settings: bool


def find_handlers(module: dict[str, Any]) -> tuple[dict[str, Callback], list[Handler]]:
    """Event type (or `batch`) → callback, and the table to report. Raises `HandlersRefused` with every problem."""
    callbacks: dict[str, Callback] = {}
    handlers: list[Handler] = []
    problems: list[dict[str, Any]] = []
    for name, value in module.items():
        if not callable(value) or inspect.isclass(value) or not name.startswith("on"):
            continue
        event_type = HANDLER_NAMES.get(name)
        line = _line_of(value)
        if event_type is None:
            problems += _near_miss(name, line)
        elif event_type in callbacks:
            problems.append(
                _problem(
                    line,
                    "two-spellings",
                    f"{name} is a second handler for {event_type} events",
                    "keep one of the two",
                )
            )
        else:
            count, reason = _parameters(value)
            if reason:
                remedy = f"declare `def {name}(event, settings)` or `def {name}(event)`"
                problems.append(_problem(line, "handler-signature", f"{name} {reason}", remedy))
            is_async = _is_async(value)
            callbacks[event_type] = Callback(value, is_async, count == 2)
            handlers.append(Handler(name, event_type, is_async, count == 2, line))
    if not handlers and not problems:
        remedy = "define at least one, for example `def on_track(event, settings):`"
        problems.append(_problem(1, "no-handler", "the module defines no handler", remedy))
    if problems:
        raise HandlersRefused(problems)
    return callbacks, handlers


def _problem(line: int, rule: str, message: str, remedy: str) -> dict[str, Any]:
    return {"line": line, "column": 1, "rule": rule, "message": message, "remedy": remedy, "source_line": ""}


def _near_miss(name: str, line: int) -> list[dict[str, Any]]:
    looks_like_one = name.startswith("on_") or name[2:3].isupper()
    close = difflib.get_close_matches(name, HANDLER_NAMES, n=1, cutoff=0.75)
    if not looks_like_one or not close:
        return []
    remedy = f"did you mean {close[0]}? Otherwise choose a name that doesn't begin with `on`"
    return [_problem(line, "unknown-handler", f"{name} is no handler's name", remedy)]


def _is_async(value: Any) -> bool:
    if isinstance(value, FunctionType):
        return bool(value.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(value)


def _line_of(value: Any) -> int:
    code = getattr(value, "__code__", None)
    return int(code.co_firstlineno) if code is not None else 1


def _parameters(value: Any) -> tuple[int, str]:
    """The number of arguments the handler is called with, and why that doesn't work if it doesn't.

    A plain function's code tells as much as `inspect.signature` does, which touches a hundred times the memory.
    """
    if not isinstance(value, FunctionType):
        try:
            parameters = inspect.signature(value).parameters.values()
        except (TypeError, ValueError):
            return 2, ""
        count = sum(p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} for p in parameters)
        has_others = count < len(parameters)
    else:
        code = value.__code__
        count = code.co_argcount
        has_others = bool(
            code.co_kwonlyargcount or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
        )
        if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
            return 2, "is a generator, which would never run; use return instead of yield, or a helper"
    if has_others:
        return 2, "has parameters that nothing fills"
    if not 1 <= count <= 2:
        return 2, f"takes {count} arguments; a handler gets event and settings"
    return count, ""


# --- What a call came to

_CODES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (DeadlineExceeded, "timeout"),
    (MemoryError, "memory_limit"),
    (RetryError, "retry"),
    (FetchTimeout, "retry"),
    (ConnectionFailed, "retry"),
    (DropEvent, "dropped"),
    (EventNotSupported, "unsupported_event_type"),
    (InvalidEventPayload, "message_rejected"),
    (ValidationError, "message_rejected"),
    (InvalidSettings, "invalid_settings"),
)


# Whatever is asked of a result or an error here may run its author's code, and that may lie: texts are cut and passed on
# as exact strings, sequences and groups are read for what they hold and not for what they show.


def code_of(error: BaseException) -> str:
    """The outcome code of what a handler raised; subclasses keep their parent's, a group has its first error's."""
    codes = [_own_code(inner) for inner in _leaves(error)]
    return "timeout" if "timeout" in codes else codes[0]


def _leaves(error: BaseException) -> list[BaseException]:
    leaves, waiting, seen = [], [error], set()
    while waiting:
        inner = waiting.pop()
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        inside = members(inner)
        waiting.extend(reversed(inside))
        if not inside:
            leaves.append(inner)
    return leaves


def _own_code(error: BaseException) -> str:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    if isinstance(error, HTTPStatusError):
        response = object.__getattribute__(error, "__dict__").get("response")
        return "retry" if type(response) is Response and is_worth_a_retry(response.status) else "bad_request"
    return "bad_request"


def is_worth_a_retry(status: int) -> bool:
    """FACTS: 429 and 5xx may be better later."""
    return status == 429 or status >= 500


def after_ms_of(error: BaseException) -> int:
    """The earliest retry that the handler asked for, in ms; 0 if it didn't."""
    if not isinstance(error, RetryError):
        return 0
    try:
        after_ms: Any = getattr(error, "after_ms", None)
    except BaseException:  # noqa: BLE001  the user's property may do anything
        return 0
    return int(after_ms) if type(after_ms) in {int, float} and 0 < after_ms < 2**32 else 0


def _text(make: Callable[[Any], str], value: Any, chars_max: int, otherwise: str) -> str:
    try:
        return str.__str__(make(value))[:chars_max]
    except BaseException:  # noqa: BLE001  the user's __str__ and __repr__ may do anything
        return otherwise


def describe(error: BaseException, code: str, filename: str) -> dict[str, Any]:
    """The error as `sandbox.wire.Detail` carries it: the user's own frames only."""
    frames = list(_user_frames(error.__traceback__, filename))[-FRAMES_MAX:]
    message = _text(str, error, MESSAGE_CHARS_MAX, "(its message can't be shown)")
    last = frames[-1] if frames else {"line": None, "column": None}
    if type(error) is NeverAwaited:
        last = {"line": error.line, "column": None}
    if type(error) is SyntaxError:
        message = _text(str, error.msg, MESSAGE_CHARS_MAX, "invalid syntax")
    return {
        "code": code,
        "type": unmangle(type(error).__name__[:200]),
        "message": unmangle(message),
        "line": last["line"],
        "column": last["column"],
        "traceback": frames,
    }


def describe_status(code: str, message: str) -> dict[str, Any]:
    """The error of an event that a batch handler gave a bad status: there is no line to name."""
    return {
        "code": code,
        "type": "BatchStatus",
        "message": message,
        "line": None,
        "column": None,
        "traceback": [],
    }


def _user_frames(traceback: TracebackType | None, filename: str) -> list[dict[str, Any]]:
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == filename:
            positions = list(code.co_positions())
            at = traceback.tb_lasti // 2
            column = positions[at][2] if at < len(positions) else None
            frames.append(
                {
                    "file": filename,
                    "line": traceback.tb_lineno,
                    "column": column + 1 if column is not None else None,
                    "function": unmangle(code.co_name),
                }
            )
        traceback = traceback.tb_next
    return frames


def show_result(value: Any) -> str | None:
    """What a handler returned, as text; None for nothing."""
    return (
        None if value is None else _text(repr, value, RESULT_CHARS_MAX, f"<{unmangle(type(value).__name__)}>")
    )


def batch_outcomes(result: Any, count: int) -> list[tuple[str, str]]:
    """What `on_batch` returned → (outcome code, error message) an event.

    FACTS: a list, positional, one `{"status": int, "errormessage": str}` an event; 2xx delivered, 429 and 5xx retry,
    other 4xx discard. None, or a list that holds no status object, means all delivered. A list with statuses that
    has another length, or an item without one, is the function's error: raises `ValueError`.
    """
    if not isinstance(result, list | tuple):
        return [("delivered", "")] * count
    items = list(list.__iter__(result) if isinstance(result, list) else tuple.__iter__(result))
    if not any(_status(item) is not None for item in items):
        return [("delivered", "")] * count
    if len(items) != count:
        raise ValueError(
            f"on_batch returned {len(items)} statuses for {count} events; return one an event, in order"
        )
    outcomes = []
    for at, item in enumerate(items):
        status = _status(item)
        if status is None:
            raise ValueError(f"item {at} of what on_batch returned has no integer `status`")
        message = _text(str, dict.get(item, "errormessage", ""), MESSAGE_CHARS_MAX, "")
        if 200 <= status < 300:
            outcomes.append(("delivered", ""))
        elif is_worth_a_retry(status):
            outcomes.append(("retry", message or f"status {status}"))
        else:
            outcomes.append(("bad_request", message or f"status {status}"))
    return outcomes


def _status(item: Any) -> int | None:
    status = dict.get(item, "status") if isinstance(item, dict) else None
    return status if type(status) is int else None

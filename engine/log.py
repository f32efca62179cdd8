"""Logs are named events with fields, on standard error; silent until this is called."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

# Where rich is installed structlog imports it, for tracebacks that we don't print: 70 ms of every start.
_has_rich = "rich" in sys.modules
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # "it isn't there", in the import system's words
import structlog  # noqa: E402  after the line above, which it looks at

if not _has_rich:
    del sys.modules["rich"]

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
TEXT_CHARS_MAX: Final = 2_000


def configure(*, log_format: str, level: str) -> None:
    """`log_format` is `text` or `json`; `level` a key of `LEVELS`."""
    # Tracebacks are plain: a prettier one would print local variables, and with them users' events.
    renderer: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _escape,
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def _escape(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Text from outside can't forge lines or move the terminal's cursor, and is cut."""
    return {key: _one_line(value) if isinstance(value, str) else value for key, value in event.items()}


def _one_line(text: str) -> str:
    text = text[:TEXT_CHARS_MAX]
    return (
        text
        if text.isprintable()
        else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    )

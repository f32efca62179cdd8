"""`logging` as functions use it: a logger whose lines go to the console."""

from __future__ import annotations

import logging
from typing import Any, Final

from sandbox.facades.tracing import format_exc
from sandbox.runtime.console import write

_LEVELS: Final = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"))


class Logger:
    """What `logging.getLogger` returns."""

    __slots__ = ("name",)

    def __init__(self, name: str = "root") -> None:
        self.name = name

    def log(self, level: int, message: object, *args: Any, exc_info: Any = None, **_options: Any) -> None:
        """Keep a line; `args` are put into `message` with `%`, the error being handled goes below if asked for."""
        text = str.__str__(str(message))  # of a subclass: its characters, not what its methods answer
        if args:
            try:
                text = text % (args[0] if len(args) == 1 and isinstance(args[0], dict) else args)
            except Exception:  # noqa: BLE001  as the library does: a bad line must not end the handler
                text = f"{text} {args!r}"
        if exc_info:
            text = f"{text}\n{format_exc()}"
        write(next((name for limit, name in _LEVELS if level >= limit), "debug"), text)

    def debug(self, message: object, *args: Any, **options: Any) -> None:
        """Level debug."""
        self.log(logging.DEBUG, message, *args, **options)

    def info(self, message: object, *args: Any, **options: Any) -> None:
        """Level info."""
        self.log(logging.INFO, message, *args, **options)

    def warning(self, message: object, *args: Any, **options: Any) -> None:
        """Level warn."""
        self.log(logging.WARNING, message, *args, **options)

    def error(self, message: object, *args: Any, **options: Any) -> None:
        """Level error."""
        self.log(logging.ERROR, message, *args, **options)

    def critical(self, message: object, *args: Any, **options: Any) -> None:
        """Level error."""
        self.log(logging.CRITICAL, message, *args, **options)

    def exception(self, message: object, *args: Any, exc_info: Any = True, **options: Any) -> None:
        """Level error, with the error being handled."""
        self.log(logging.ERROR, message, *args, exc_info=exc_info, **options)

    warn = warning

    def setLevel(self, _level: object) -> None:  # noqa: N802  the library's name
        """All levels are kept."""

    def isEnabledFor(self, _level: object) -> bool:  # noqa: N802  the library's name
        """All levels are kept."""
        return True


_ROOT: Final = Logger()

NAMES: Final[dict[str, Any]] = {
    "basicConfig": lambda **_options: None,  # all lines go to the console as they are
    "getLogger": lambda name="root": Logger(str(name)),
    "log": _ROOT.log,
    "debug": _ROOT.debug,
    "info": _ROOT.info,
    "warning": _ROOT.warning,
    "error": _ROOT.error,
    "critical": _ROOT.critical,
    "exception": _ROOT.exception,
}

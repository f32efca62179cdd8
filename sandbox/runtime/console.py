"""`console`, `print`: a line at a time into the invocation that is running."""

from __future__ import annotations

from typing import Any, Final

from sandbox.runtime.context import CURRENT

LEVELS: Final = ("debug", "info", "warn", "error")


def write(level: str, text: str) -> None:
    """Keep each line of `text` for the running invocation."""
    invocation = CURRENT.get()
    if invocation is None:
        return
    if not invocation.bytes_left:
        invocation.dropped_bytes += str.__len__(text)
        return
    for line in str.__str__(text).splitlines() or [""]:
        invocation.write(level, line)


def join(values: tuple[Any, ...], separator: str = " ") -> str:
    """Values as `print` would show them."""
    return str.join(separator, (value if type(value) is str else str(value) for value in values))


class Console:
    """What a handler knows as `console`."""

    __slots__ = ()

    def log(self, *values: Any) -> None:
        """Keep a line at level info."""
        write("info", join(values))

    def info(self, *values: Any) -> None:
        """Keep a line at level info."""
        write("info", join(values))

    def warn(self, *values: Any) -> None:
        """Keep a line at level warn."""
        write("warn", join(values))

    def error(self, *values: Any) -> None:
        """Keep a line at level error."""
        write("error", join(values))

    def debug(self, *values: Any) -> None:
        """Keep a line at level debug."""
        write("debug", join(values))


def print_line(
    *values: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
) -> None:
    """`print`, into the console; `file` other than None is refused: there are no files here."""
    del end, flush
    if file is not None:
        raise TypeError("print(file=…) is not available here; there are no files: leave `file` out")
    write("info", join(values, " " if sep is None else sep))

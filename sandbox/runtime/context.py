"""Which invocation is running. One `Invocation` a lane of execution, used again and again: nothing is made an event."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from sandbox.fetch_wire import FETCHES_AN_INVOCATION
from sandbox.runtime.response import unseen

if TYPE_CHECKING:
    import asyncio

    from sandbox.runtime.response import Response


class Invocation:
    """What belongs to one call of a handler: its console lines, its deadline, its fetches, the tasks it started."""

    __slots__ = (
        "bytes_left",
        "bytes_max",
        "children",
        "dropped_bytes",
        "fetches",
        "fetches_max",
        "is_active",
        "is_async",
        "logs",
        "numbers",
        "responses",
        "sequence",
        "started",
        "task",
        "unawaited",
    )

    def __init__(self, *, is_async: bool, console_bytes: int) -> None:
        self.is_async = is_async
        """What runs is `async def`: what can wait is awaited."""
        self.bytes_max = self.bytes_left = console_bytes
        self.dropped_bytes = 0
        self.logs: list[dict[str, str]] = []
        self.started = 0.0
        self.is_active = False
        self.numbers: list[int] = []
        self.children: set[Any] = set()
        self.task: asyncio.Task[None] | None = None
        """Of a runner: it runs on asyncio, whether the handler is `async def` or not."""
        self.sequence = -1
        """Of what the counts below belong to; of a runner: of what it runs."""
        self.fetches = 0
        self.fetches_max = FETCHES_AN_INVOCATION
        self.responses: list[Response] | None = None
        """What came, where somebody watches: an author is told of answers that nothing looked at."""
        self.unawaited: dict[Any, int] = {}
        """Fetches that were made and not awaited yet, with the line they were made in."""

    def write(self, level: str, message: str) -> None:
        """Keep a console line, up to the invocation's limit in bytes."""
        size = len(message.encode("utf-8", "replace")) + 16
        if size > self.bytes_left:
            kept = message.encode("utf-8", "replace")[: max(0, self.bytes_left - 16)].decode(
                "utf-8", "ignore"
            )
            self.dropped_bytes += size - len(kept)
            self.bytes_left = 0
            if not kept:
                return
            message = kept
        else:
            self.bytes_left -= size
        self.logs.append({"level": level, "message": message})

    def watch(self, *, is_watched: bool) -> None:
        """From now on, keep what comes; or don't."""
        self.responses = [] if is_watched else None

    def warn_of_unseen(self) -> None:
        """Write a line for each answer that should have been looked at, and wasn't."""
        responses, self.responses = self.responses, None
        for response in responses or ():
            if message := unseen(response):
                self.write("warn", message)

    def take_logs(self) -> tuple[list[dict[str, str]], int]:
        """The lines and the number of bytes that didn't fit; the next invocation begins with none."""
        logs, dropped = self.logs, self.dropped_bytes
        if logs or dropped:
            self.logs, self.dropped_bytes, self.bytes_left = [], 0, self.bytes_max
        return logs, dropped


CURRENT: Final[ContextVar[Invocation | None]] = ContextVar("invocation", default=None)
"""Set once a lane of execution; tasks that a handler starts inherit it."""

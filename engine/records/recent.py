"""Counters of everything, and particulars of the last failures, a destination. In memory, bounded, and allowed to be lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sandbox.wire import EVENT_TYPES, Detail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAILURES_KEPT: Final = 100
FOLLOWER_LINES_MAX: Final = 1_000
"""Beyond them a follower that doesn't read misses lines, and is told how many."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended. `detail` is what `sandbox.wire.Detail` packs; it came from a worker."""

    at_ms: int
    delivery: str
    event_type: int
    attempt: int
    code: str
    detail: bytes

    def as_map(self) -> dict[str, Any]:
        """For people and clients; decoded only now."""
        detail = Detail.unpack(self.detail) if self.detail else Detail()
        return {
            "at": datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            "delivery": self.delivery,
            "event_type": EVENT_TYPES[self.event_type],
            "attempt": self.attempt,
            "code": self.code,
            "error": detail.error,
            "logs": detail.logs,
        }


class Recent:
    """What happened at one destination since the daemon started."""

    def __init__(self) -> None:
        self.by_code: dict[str, int] = {}
        self.retried = 0
        self.dead = 0
        self._failures: deque[Attempt] = deque(maxlen=FAILURES_KEPT)
        self._followers: list[tuple[asyncio.Queue[Attempt], list[int]]] = []

    @property
    def is_followed(self) -> bool:
        """Somebody wants successes too."""
        return bool(self._followers)

    def count(self, code: str, count: int) -> None:
        """Add outcomes."""
        self.by_code[code] = self.by_code.get(code, 0) + count

    def count_verdict(self, kind: str, count: int) -> None:
        """Add what becomes of failures: a kind of `engine.model.PART_KINDS`."""
        if kind == "retry":
            self.retried += count
        elif kind == "dead":
            self.dead += count

    def add(self, attempt: Attempt) -> None:
        """Keep a failure; show every attempt to those who follow."""
        if attempt.code not in {"delivered", "filtered", "dropped", "unsupported_event_type"}:
            self._failures.append(attempt)
        for queue, missed in self._followers:
            try:
                queue.put_nowait(attempt)
            except asyncio.QueueFull:
                missed[0] += 1

    async def lines(self, *, follow: bool) -> AsyncIterator[dict[str, Any]]:
        """The last failures, oldest first; with `follow` then every attempt as it ends."""
        queue: asyncio.Queue[Attempt] = asyncio.Queue(FOLLOWER_LINES_MAX)
        missed = [0]
        entry = (queue, missed)
        if follow:
            self._followers.append(entry)
        try:
            for attempt in list(self._failures):
                yield attempt.as_map()
            while follow:
                attempt = await queue.get()
                yield {**attempt.as_map(), "missed": missed[0]} if missed[0] else attempt.as_map()
                missed[0] = 0
        finally:
            with contextlib.suppress(ValueError):
                self._followers.remove(entry)

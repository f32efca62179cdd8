"""Those who watch a destination's attempts as they end. One that doesn't keep up misses some, and is told how many."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.records.attempts import Attempt

WAITING_BYTES_MAX: Final = 2 << 20
"""Of attempts that one follower hasn't taken."""
FOLLOWERS_MAX: Final = 64
"""At once, of all destinations."""


class Follower:
    """One who watches; `code` if only attempts that end so are wanted."""

    def __init__(self, code: str | None) -> None:
        self._code = code
        self._waiting: deque[Attempt] = deque()
        self._waiting_bytes = 0
        self._missed = 0
        self._arrived = asyncio.Event()
        self._is_over = False

    def offer(self, attempt: Attempt) -> None:
        """An attempt ended."""
        if self._code is not None and attempt.code != self._code:
            return
        if self._waiting_bytes + attempt.bytes > WAITING_BYTES_MAX:
            self._missed += 1
            return
        self._waiting_bytes += attempt.bytes
        self._waiting.append(attempt)
        self._arrived.set()

    def end(self) -> None:
        """Nothing more will end: the destination is gone."""
        self._is_over = True
        self._arrived.set()

    async def next(self) -> tuple[Attempt, int] | None:
        """The next attempt, and how many were missed since the one before; None at the end."""
        while not self._waiting:
            if self._is_over:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        attempt = self._waiting.popleft()
        self._waiting_bytes -= attempt.bytes
        missed, self._missed = self._missed, 0
        return attempt, missed

"""Whether a worker that holds something still moves. Pure: it is told index and time.

The index is the number of the invocation that was started last, as the worker writes it into the shared page. A
worker may lie there: so it may only rise, only up to what it was given, and what it passes must be reported in time.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sandbox.wire import WireError

GRACE_MS: Final = 250
"""How long past its deadline an invocation may keep the worker."""
MARKS_A_TIMEOUT: Final = 64
"""How finely the times are kept at which a number was first passed."""


class Progress:
    """When the index came where."""

    def __init__(self) -> None:
        self.index = 0
        self.moved_at = 0.0
        self._marks: deque[tuple[int, float]] = deque()

    def begin(self, now: float) -> None:
        """It holds something from now on, after having held nothing."""
        self.moved_at = now
        self._marks.clear()
        self._marks.append((self.index, now))

    def reported(self, now: float) -> None:
        """Outcomes have come."""
        self.moved_at = now

    def see(self, index: int, now: float, *, last: int, timeout_ms: int) -> None:
        """The page says `index`; `last` is the highest number given. Raises `WireError` if that can't be."""
        if index == self.index:
            return
        if not self.index < index <= last:
            raise WireError(f"the shared page says {index} after {self.index}, and {last} were given")
        self.index, self.moved_at = index, now
        marks = self._marks
        if len(marks) > 1 and marks[-1][1] - marks[-2][1] < timeout_ms / 1000 / MARKS_A_TIMEOUT:
            marks.pop()
        marks.append((index, now))

    def is_late(self, now: float, *, oldest: int, timeout_ms: int, is_async: bool) -> bool:
        """It has been at one invocation for too long, or keeps one (`oldest`: the lowest that hasn't ended) to itself.

        Without `is_async` one runs at a time: `oldest` is reported at the latest when the next one is over. With it,
        `oldest` is over when its own time is.
        """
        longest_s = (timeout_ms + GRACE_MS) / 1000
        passed = oldest if is_async else oldest + 1
        while self._marks and self._marks[0][0] < passed:
            self._marks.popleft()
        return now - self.moved_at > longest_s or bool(self._marks and now - self._marks[0][1] > longest_s)

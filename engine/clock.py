"""Time enters the engine here, so that a test can drive it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored and shown, monotonic time for what is measured."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch; may jump."""

    def monotonic(self) -> float:
        """Seconds; never goes back."""


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch; may jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return time.monotonic()


class ManualClock:
    """A clock that a test moves. Both times advance together; `jump_ms` moves wall time alone."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic = 0.0

    def now_ms(self) -> int:
        """Milliseconds since the epoch; may jump."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return self._monotonic

    def advance_ms(self, ms: int) -> None:
        """Let `ms` pass."""
        self._now_ms += ms
        self._monotonic += ms / 1000

    def jump_ms(self, ms: int) -> None:
        """Set wall time forward, or back if `ms` is negative, while no time passes."""
        self._now_ms += ms

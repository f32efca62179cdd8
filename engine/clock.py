"""Time enters the engine here, so that a test can drive it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final, Protocol

SLEW: Final = 0.1
"""How much faster or slower than the machine's time a `SteadyClock` runs to catch up with a jump."""


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


class SteadyClock:
    """Wall time without its jumps: what the engine counts deadlines, retries and ages in.

    Somebody sets the machine's clock ten hours ahead: were its time believed, all that waits would be due at once and
    past its four hours. Set back, everything would wait for hours. So this clock runs with monotonic time, and
    approaches wall time at a tenth of that speed: a jump of a second is made good in ten seconds, one of ten hours in
    four days, and meanwhile four hours last between 3:38 and 4:27.
    """

    def __init__(self, source: Clock, *, start_ms: int | None = None) -> None:
        """Begins at `start_ms` (see `resume_ms`), or at wall time."""
        self._source = source
        self._read_s = source.monotonic()
        self._now_ms = float(source.now_ms() if start_ms is None else start_ms)
        self._lock = threading.Lock()  # the loop, the journal and the records ask, each in its own thread

    def now_ms(self) -> int:
        """Milliseconds since the epoch; never goes back, and never jumps."""
        with self._lock:
            read_s = self._source.monotonic()
            elapsed_ms = (read_s - self._read_s) * 1000
            self._read_s = read_s
            self._now_ms += elapsed_ms
            behind_ms = self._source.now_ms() - self._now_ms
            self._now_ms += max(-SLEW * elapsed_ms, min(behind_ms, SLEW * elapsed_ms))
            return int(self._now_ms)

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return self._source.monotonic()


@dataclass(frozen=True, slots=True)
class Mark:
    """What the time was once: kept, so that a jump across a restart is noticed too."""

    now_ms: int
    """A `SteadyClock`'s."""
    boot_id: str
    """The machine's run, from start to shutdown."""
    boot_ms: int
    """Since the machine started, its sleep included; no one can set it."""


def resume_ms(wall_ms: int, boot_id: str, boot_ms: int, mark: Mark | None) -> int:
    """Pure: the time at which to begin, given the machine's clocks now and what an earlier daemon last knew.

    In the same run of the machine it is known how much time passed. After a restart of the machine wall time is all
    there is; but it can't be earlier than it already was.
    """
    if mark is None:
        return wall_ms
    if mark.boot_id == boot_id:
        return mark.now_ms + max(0, boot_ms - mark.boot_ms)
    return max(wall_ms, mark.now_ms)


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

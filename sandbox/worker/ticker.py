"""Every 10 ms while there is work: look at what runs, and end what is past its deadline.

A timer and a signal: no system call an event. What user code can't be made to leave by an exception (a loop in C, an
exception handler that never ends) is the supervisor's to kill.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

from sandbox.runtime.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

TICK_S: Final = 0.01


class Hold:
    """While it is entered, a tick does nothing: outcomes are being changed or sent, or a tick is at it already."""

    __slots__ = ("depth",)

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


class Ticker:
    """Owner of the process's interval timer."""

    def __init__(self) -> None:
        self.hold = Hold()
        self._look: Callable[[float], str] | None = None
        self._filename = ""

    def install(self) -> None:
        """Take the signal. Once, before anything starts the timer."""
        signal.signal(signal.SIGALRM, self._tick)

    def start(self, look: Callable[[float], str], filename: str) -> None:
        """Call `look` with the monotonic time at each tick; if it says why, end the code of `filename` that runs."""
        self._look, self._filename = look, filename
        signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)

    def stop(self) -> None:
        """No more ticks."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        self._look = None

    def _tick(self, _number: int, frame: FrameType | None) -> None:
        if self.hold.depth or self._look is None:
            return
        with self.hold:  # on a busy machine the next tick comes during this one
            reason = self._look(time.monotonic())
        if reason and self._in_user_code(frame):
            raise DeadlineExceeded(reason)

    def _in_user_code(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code.co_filename == self._filename:
                return True
            frame = frame.f_back
        return False


def too_long(timeout_s: float) -> str:
    """What an invocation is told that is past its deadline."""
    return f"took longer than {timeout_s * 1000:.0f} ms"

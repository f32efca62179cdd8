"""Does a worker wait for something, or for a processor? Only in the first case would more workers help.

How long an event takes doesn't tell: beside others who want the processor everything takes long. The kernel counts
for each process how long it ran, and how long it could have run and had to wait; what is left it slept.
"""

from __future__ import annotations

from pathlib import Path


class Sleep:
    """How a worker spent its time since it was looked at last."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looked_at = 0.0
        self._busy_s: float | None = None

    def is_most(self, now: float, *, held_since: float) -> bool | None:
        """Since it was asked last the worker mostly slept. None if it had nothing to do before `held_since`, and slept for that."""
        looked_at, before_s = self._looked_at, self._busy_s
        self._looked_at, self._busy_s = now, busy_s(self._pid)
        return is_blocked(now - looked_at, before_s, self._busy_s) if held_since <= looked_at else None


def busy_s(pid: int) -> float | None:
    """Seconds that a process (its first thread) has run or waited for a processor. None where the kernel doesn't say."""
    try:
        ran_ns, waited_ns = Path(f"/proc/{pid}/schedstat").read_bytes().split()[:2]
        return (int(ran_ns) + int(waited_ns)) / 1e9
    except (OSError, ValueError):
        return None


def is_blocked(elapsed_s: float, busy_before_s: float | None, busy_now_s: float | None) -> bool:
    """Pure: it slept for more than half of the time. So is one of which nothing is known: it is seen to be slow."""
    if busy_before_s is None or busy_now_s is None:
        return True
    return busy_now_s - busy_before_s < elapsed_s / 2

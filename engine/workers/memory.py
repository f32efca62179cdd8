"""Memory of workers: measured from outside once a second, and what is done when it is much.

In use is what a worker's anonymous memory has grown by since it was bound. Its address space is limited besides, so
that between two samples it can't grow beyond its limit either.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import Final, NamedTuple

PERCENT_MAX: Final = 80
"""Of the limit: beyond it caches are dropped, and if that doesn't help the worker is replaced."""
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Size(NamedTuple):
    """What a process has, in bytes."""

    address: int
    anonymous: int


class Verdict(Enum):
    """What a sample asks for."""

    FINE = "fine"
    DROP_CACHES = "drop_caches"
    RECYCLE = "recycle"
    KILL = "kill"


def judge(used_bytes: int, limit_bytes: int, *, were_caches_dropped: bool) -> Verdict:
    """`were_caches_dropped`: the sample before was too high as well. Pure."""
    percent = used_bytes * 100 // limit_bytes
    if percent >= 100:
        return Verdict.KILL
    if percent <= PERCENT_MAX:
        return Verdict.FINE
    return Verdict.RECYCLE if were_caches_dropped else Verdict.DROP_CACHES


class Gauge:
    """Owner of an open `statm` file a worker: anybody may read it, even of a process that isn't dumpable.

    An open file stays that process's, whatever becomes of its number: a pid used again is never measured.
    """

    def __init__(self) -> None:
        self._files: dict[int, int] = {}

    def measure(self, pid: int) -> Size | None:
        """What the process has now. None if it is gone."""
        fd = self._files.get(pid)
        try:
            if fd is None:
                fd = self._files[pid] = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
            address, resident, shared = os.pread(fd, 200, 0).split(None, 3)[:3]
        except (OSError, ValueError):
            return None
        return Size(int(address) * PAGE_BYTES, (int(resident) - int(shared)) * PAGE_BYTES)

    def forget(self, pid: int) -> None:
        """The process has ended, and its number may be used again."""
        fd = self._files.pop(pid, None)
        if fd is not None:
            os.close(fd)

"""What is written to a worker: never blocking, in order, and kept here while the worker doesn't read.

How much may wait is bounded by whoever sends: see `is_full`. How long it may wait is bounded by the worker's deadlines:
one that doesn't read doesn't move either.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from collections import deque
from typing import TYPE_CHECKING, Final

from sandbox.wire import KIB, MIB

if TYPE_CHECKING:
    import asyncio

FULL_BYTES: Final = 1 * MIB
VIEWS_A_WRITE: Final = 64
PIPE_BYTES: Final = 256 * KIB
"""Of the pipe of a worker that once had more to read than it holds: it reads so much at a time. All workers' pipes, that
are 64 KiB as they are made, count for one user against `pipe-user-pages-soft`."""


class Outbox:
    """Owner of the writing end of a worker's pipe."""

    def __init__(self, fd: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = fd
        self._loop = loop
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._is_broken = False
        self._is_wide = False

    @property
    def is_full(self) -> bool:
        """So much waits that nothing more should be given."""
        return self._unsent_bytes >= FULL_BYTES

    def write(self, data: bytes) -> None:
        """Write now what fits, and the rest when there is room. To a process that is gone nothing is written."""
        if self._is_broken:
            return
        is_first = not self._unsent
        self._unsent.append(memoryview(data))
        self._unsent_bytes += len(data)
        if is_first and not (self._flush() or (self._widen() and self._flush())):
            self._loop.add_writer(self._fd, self._writable)

    def _widen(self) -> bool:
        """Make the pipe larger, unless it is, or the user has no pages left for pipes: then it stays as it is."""
        if self._is_wide:
            return False
        self._is_wide = True
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return True

    def close(self) -> None:
        """Forget what waits, before the descriptor is closed."""
        if self._unsent:
            self._loop.remove_writer(self._fd)
        self._unsent.clear()
        self._is_broken = True

    def _writable(self) -> None:
        if self._flush():
            self._loop.remove_writer(self._fd)

    def _flush(self) -> bool:
        """Nothing waits any more."""
        try:
            while self._unsent:
                written = os.writev(self._fd, list(itertools.islice(self._unsent, VIEWS_A_WRITE)))
                self._unsent_bytes -= written
                self._drop(written)
        except BlockingIOError:
            return False
        except OSError:
            self._is_broken = True
            self._unsent.clear()
            self._unsent_bytes = 0
        return True

    def _drop(self, written: int) -> None:
        while written:
            head = self._unsent[0]
            if written < len(head):
                self._unsent[0] = head[written:]
                return
            written -= len(head)
            self._unsent.popleft()

"""The two pipes that join a worker to its supervisor, as frames."""

from __future__ import annotations

import os
from collections import deque
from typing import Final, NoReturn

from sandbox import wire

READ_BYTES: Final = 256 * 1024


class Pipe:
    """Owner of both ends. When the supervisor is gone, so is the worker."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self._write_fd = write_fd
        self._buffer = wire.FrameBuffer(wire.TO_WORKER_BYTES_MAX)
        self._bodies: deque[bytes] = deque()

    def set_waiting(self, is_waiting: bool) -> None:
        """Whether `read` waits until there is something."""
        os.set_blocking(self.read_fd, is_waiting)

    def read(self) -> None:
        """Take what has arrived."""
        try:
            data = os.read(self.read_fd, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            leave()
        self._bodies.extend(self._buffer.feed(data))

    def next(self) -> wire.Frame | None:
        """The next frame of what was read; None if none is complete."""
        return wire.decode_to_worker(self._bodies.popleft()) if self._bodies else None

    def send(self, frame: wire.Frame) -> None:
        """Write all of it; the supervisor always reads."""
        view = memoryview(frame.pack())
        while view:
            try:
                view = view[os.write(self._write_fd, view) :]
            except BrokenPipeError:
                leave()


def leave() -> NoReturn:
    """End this process at once: there is nothing to clean up that the kernel doesn't."""
    os._exit(0)

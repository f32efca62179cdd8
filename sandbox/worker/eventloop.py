"""A worker's event loop: the object is the zygote's, shared until it is used; the descriptors are the worker's own.

To make a loop after the fork takes 0.5 MiB more of each worker, for the pages that this touches.
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import socket


class WorkerLoop(asyncio.SelectorEventLoop):
    """Made in the zygote, where it never runs; renewed in each worker before it does."""

    def __init__(self) -> None:
        self._epoll = selectors.EpollSelector()
        super().__init__(self._epoll)

    def descriptors(self) -> list[int]:
        """What must not be closed before `renew`, which puts others in their places."""
        return [self._epoll.fileno(), *self._wake_descriptors()]

    def renew(self) -> WorkerLoop:
        """Replace the descriptors, which are shared with every other worker, by new ones under the same numbers."""
        made = socket.socketpair()
        for end, number in zip(made, self._wake_descriptors(), strict=True):
            with end:
                end.setblocking(False)
                os.dup2(end.fileno(), number, inheritable=False)
        with select.epoll() as epoll:
            epoll.register(self._wake_descriptors()[0], select.EPOLLIN)
            os.dup2(epoll.fileno(), self._epoll.fileno(), inheritable=False)
        return self

    def _wake_descriptors(self) -> list[int]:
        """Of the pair by which a loop wakes itself: the end that it reads, and the one that is written."""
        return [getattr(self, name).fileno() for name in ("_ssock", "_csock")]

"""Address space kept for saying that there is none left."""

from __future__ import annotations

import mmap
from typing import Final

from sandbox.wire import MIB

RESERVE_BYTES: Final = 3 * MIB
"""The interpreter takes memory for small objects by the MiB."""


class Reserve:
    """Mapped and never touched, so that it costs no memory. Made before the address space is limited: it is no part of that."""

    def __init__(self) -> None:
        self._kept: mmap.mmap | None = None
        self.take()

    def take(self) -> bool:
        """Keep it again; False if there is no room: memory is used up for good."""
        if self._kept is None:
            try:
                self._kept = mmap.mmap(-1, RESERVE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except (OSError, MemoryError):
                return False
        return True

    def release(self) -> None:
        """Let it be used."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

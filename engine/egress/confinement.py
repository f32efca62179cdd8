"""The kernel's part for an egress process: it keeps the network, and of files only what resolving names needs."""

from __future__ import annotations

import ctypes
import signal


def enter() -> list[list[str]]:
    """PLACEHOLDER until sandbox.jail lands."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    libc.prctl(38, 1, 0, 0, 0)
    libc.prctl(4, 0, 0, 0, 0)
    return []

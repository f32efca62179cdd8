"""The daemon opens secrets on their way to workers: no core dump may hold them, and nobody else may look into it."""

from __future__ import annotations

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def become_undumpable() -> None:
    """No core dumps of this process; its memory and environment in `/proc` are root's alone (prctl(2))."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)

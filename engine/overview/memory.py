"""Resident memory of the daemon's processes, from outside. Blocks for some milliseconds: call it in a thread."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

KINDS: Final = {"engine.egress": "egress", "sandbox.zygote": "zygote", "gateway": "gateway"}
"""A word of its command line → what a process is."""


def resident_bytes(workers: AbstractSet[int]) -> dict[str, int]:
    """Kind of process → bytes, of this one and its descendants but `workers` (pids), whose pages are mostly shared."""
    own = psutil.Process()
    sizes = {"supervisor": own.memory_info().rss}
    for process in own.children(recursive=True):
        if process.pid in workers:
            continue
        with contextlib.suppress(psutil.Error):
            kind = next((KINDS[word] for word in process.cmdline() if word in KINDS), None)
            if kind is not None:
                sizes[kind] = sizes.get(kind, 0) + process.memory_info().rss
    return sizes

"""The page of memory that a worker shares with the supervisor."""

from __future__ import annotations

from typing import Final

PAGE_BYTES: Final = 4096
PAGE_STARTED_OFFSET: Final = 0
"""u64, native order: the sequence number of the invocation that was started last."""
PAGE_BUSY_OFFSET: Final = 8
"""u64: microseconds that `def` handlers have run; written when outcomes are sent. Hostile, as all of the page."""
PAGE_FETCHES_OFFSET: Final = 16
"""u64: how many fetches have been begun. A lie costs the liar the HTTP traces of its own failures, or nothing."""

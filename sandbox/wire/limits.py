"""How large what travels may be.

Source of the numbers: the documented limits of the product (32 KiB an event, 100 events a chunk, 512 KiB a chunk); the
others follow from them.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

EVENT_BYTES_MAX: Final = 33 * KIB
"""One event's msgpack body: 32 KiB of its sender's, and room for what an entrance adds to it (times, an id)."""
CHUNK_EVENTS_MAX: Final = 100
CHUNK_BYTES_MAX: Final = 512 * KIB
SUBMIT_EVENTS_MAX: Final = 2_500
"""Events in one submit frame."""
MESSAGE_ID_CHARS_MAX: Final = 100
USER_KEY_CHARS_MAX: Final = 256
SOURCE_BYTES_MAX: Final = 1 * MIB
DETAIL_BYTES_MAX: Final = 64 * KIB
"""What one outcome may say of itself: error, user frames, console lines, result."""
BATCH_EVENTS_MAX: Final = 400
BATCH_BYTES_MAX: Final = 4 * MIB
CONSOLE_BYTES_MAX: Final = 32 * KIB
"""Console output kept of one invocation."""

TO_WORKER_BYTES_MAX: Final = 16 * MIB
READY_BYTES_MAX: Final = 4 * KIB
"""What a worker may send before it is bound."""
LOADED_BYTES_MAX: Final = 8 * MIB
"""While it is loading: its answer holds the compiled code."""
OUTCOMES_BYTES_MAX: Final = 1 * MIB
"""Afterwards."""
DIAGNOSTICS_BYTES_MAX: Final = 512 * KIB
"""What `Refused` may say."""
CLIENT_FRAME_BYTES_MAX: Final = 4 * MIB

WORKER_ITEMS_MAX: Final = 16
OPAQUE_ITEMS_MAX: Final = 20_000
OPAQUE_DEPTH_MAX: Final = 6
CLIENT_ITEMS_MAX: Final = SUBMIT_EVENTS_MAX
CLIENT_DEPTH_MAX: Final = 32

"""One attempt that ended, as it is kept and shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from engine.model import COUNTED_CODES
from sandbox.wire import EVENT_TYPES, Detail

UNKEPT_CODES: Final = COUNTED_CODES | {"delivered"}
"""Attempts that ended so are shown to who follows, and not kept."""
OVERHEAD_BYTES: Final = 160
"""What an attempt takes besides its detail, on disk and about as much in memory."""


class Attempt(NamedTuple):
    """How one attempt ended. `detail` is what `sandbox.wire.Detail` packs; it came from a worker."""

    at_ms: int
    destination_id: int
    delivery: str
    """`CHUNK.INDEX`, which stays the same from attempt to attempt."""
    event_type: int
    attempt: int
    code: str
    detail: bytes

    @property
    def bytes(self) -> int:
        """What it counts for where attempts are bounded."""
        return len(self.detail) + OVERHEAD_BYTES


def as_map(attempt: Attempt) -> dict[str, Any]:
    """For people and clients; decoded only now."""
    detail = Detail.unpack(attempt.detail) if attempt.detail else Detail()
    return {
        "at": datetime.fromtimestamp(attempt.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "delivery": attempt.delivery,
        "event_type": EVENT_TYPES[attempt.event_type],
        "attempt": attempt.attempt,
        "code": attempt.code,
        "error": detail.error,
        "logs": detail.logs,
        "logs_dropped_bytes": detail.logs_dropped_bytes,
        "requests": [request for request in detail.requests if isinstance(request, dict)],
        "duration_ms": detail.duration_us / 1000,
    }

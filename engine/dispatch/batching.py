"""Pure: when a destination with `on_batch` has collected enough.

The document: "waits up to 10 seconds to form a batch of 20 events", and under one event a second the batch handler
may not be used: then the single handlers run, if there are any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.wire import BATCH_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Closing:
    """`count` events go now, as one batch or one by one; with `count` 0 ask again after `wait_ms`."""

    count: int
    as_batch: bool = True
    wait_ms: int = 0


def close(
    *, ready: int, sizes: Iterable[int], waited_ms: int, batch_size: int, batch_wait_ms: int, has_single: bool
) -> Closing:
    """Decide for `ready` collected events of `sizes` bytes, the oldest of which has waited `waited_ms`."""
    if ready == 0:
        return Closing(0, wait_ms=batch_wait_ms)
    fitting, total = 0, 0
    for size in sizes:
        if fitting == batch_size or (fitting and total + size > BATCH_BYTES_MAX):
            return Closing(fitting)
        fitting, total = fitting + 1, total + size
    if fitting >= batch_size:
        return Closing(fitting)
    if waited_ms < batch_wait_ms:
        return Closing(0, wait_ms=batch_wait_ms - waited_ms)
    is_sparse = ready * 1000 < batch_wait_ms
    return Closing(fitting, as_batch=not (is_sparse and has_single))

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
    *,
    sizes: Iterable[int],
    waited_ms: int,
    batch_size: int,
    batch_wait_ms: int,
    has_single: bool,
    is_last: bool = False,
) -> Closing:
    """Decide for collected events of `sizes` bytes, in their order, the oldest of which has waited `waited_ms`.

    `has_single` if each of them has a handler of its own, `is_last` if no more will be collected: the daemon stops.
    """
    count, total = 0, 0
    for size in sizes:
        if count and total + size > BATCH_BYTES_MAX:
            return Closing(count)
        count, total = count + 1, total + size
        if count == batch_size:
            return Closing(count)
    if count == 0:
        return Closing(0, wait_ms=batch_wait_ms)
    if waited_ms < batch_wait_ms:
        return Closing(count) if is_last else Closing(0, wait_ms=batch_wait_ms - waited_ms)
    is_sparse = count * 1000 < waited_ms
    return Closing(count, as_batch=not (is_sparse and has_single))

"""`pebble.ProcessPool`: `schedule` an event at a time with a timeout of five seconds, which is what it is there for."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from benchmarks.harness import reference_events
from benchmarks.peers.work import handle

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S = 5.0


def run(events: int) -> dict[str, float]:
    """Events a second."""
    seen = {}
    made = reference_events(events)
    for worker, workers in (("_one_worker", 1), ("", os.cpu_count() or 1)):
        _rate(workers, made[: max(10, events // 5)])
        seen[f"pebble{worker}"] = _rate(workers, made)
    return seen


def _rate(workers: int, events: Sequence[dict[str, Any]]) -> float:
    from pebble import ProcessPool  # noqa: PLC0415  it may be missing

    with ProcessPool(max_workers=workers) as pool:
        pool.schedule(handle, args=(events[0],), timeout=TIMEOUT_S).result()  # the workers are there
        begun = time.perf_counter()
        for future in [pool.schedule(handle, args=(event,), timeout=TIMEOUT_S) for event in events]:
            future.result()
        return len(events) / (time.perf_counter() - begun)

"""`concurrent.futures.ProcessPoolExecutor`: `submit` an event at a time, all at once; `map` with chunks of 100.

Its documentation: "for very long iterables, using a large value for chunksize can significantly improve performance".
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.harness import reference_events
from benchmarks.peers.work import handle

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK = 100


def run(events: int) -> dict[str, float]:
    """Events a second."""
    seen = {}
    made = reference_events(events)
    for worker, workers in (("_one_worker", 1), ("", os.cpu_count() or 1)):
        with ProcessPoolExecutor(workers) as pool:
            _submit(pool, made[: events // 5])
            seen[f"executor_submit{worker}"] = _submit(pool, made)
            seen[f"executor_map_100{worker}"] = _map(pool, made * 2)
    return seen


def _submit(pool: ProcessPoolExecutor, events: Sequence[dict[str, Any]]) -> float:
    begun = time.perf_counter()
    for future in [pool.submit(handle, event) for event in events]:
        future.result()
    return len(events) / (time.perf_counter() - begun)


def _map(pool: ProcessPoolExecutor, events: Sequence[dict[str, Any]]) -> float:
    begun = time.perf_counter()
    done = sum(1 for _ in pool.map(handle, events, chunksize=CHUNK))
    return done / (time.perf_counter() - begun)

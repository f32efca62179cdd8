"""`throughput`: client to first outcome, durable, one destination; in submits of 100, 10 and 1 events, pipelined."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.harness import (
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    Figure,
    daemon,
    figure,
    reference_batches,
)

EVENTS_A_RUN: Final = {100: 100_000, 10: 60_000, 1: 20_000}


def measure(floor: float | None, runs: int) -> list[Figure]:
    """Events a second, each run in a fresh daemon."""
    figures = []
    for size, total in EVENTS_A_RUN.items():
        values = [_run(size, total) for _ in range(runs)]
        figures.append(figure(f"throughput_{size}", "events/s", values, floor=floor))
    return figures


def _run(size: int, total: int) -> float:
    with daemon() as (client, _):
        client.deploy("reference", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
        for count in (total // 5, total):
            batches = reference_batches(count, size)  # encoding is the caller's work, and not measured
            delivered = 0
            begun = time.perf_counter()
            for result in client.submit_many("reference", batches, wait=True):
                delivered += result.delivered
            elapsed = time.perf_counter() - begun
            if delivered != count:
                raise RuntimeError(f"{delivered} of {count} events were delivered")
        return total / elapsed

"""`throughput`: client to first outcome, durable, one destination; in submits of 1, 10, 100 and 1,000 events.

Pipelined over one connection, each size in a fresh daemon. Every event has a `messageId` of its own, which is judged.
Submits of 1,000 are cut into chunks of 100 by the daemon.
"""

from __future__ import annotations

from typing import Final

from benchmarks.harness import delivered_per_s, reference_batches, subject
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program

EVENTS_A_RUN: Final = {1_000: 100_000, 100: 100_000, 10: 60_000, 1: 20_000}


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second, by size of the submits."""
    return {f"throughput_{size}": _rate(conditions, size, total) for size, total in EVENTS_A_RUN.items()}


def _rate(conditions: Conditions, size: int, total: int) -> float:
    count = conditions.pick(total, max(200, size))
    with subject(conditions) as daemon:
        name = daemon.deploy()
        for batches in (reference_batches(max(size, count // 5), size), reference_batches(count, size)):
            rate = delivered_per_s(daemon.client, name, batches)
        return rate


PROGRAM: Final = Program(
    tuple(Measure(f"throughput_{size}", "events/s", baseline=FLOOR) for size in EVENTS_A_RUN),
    run,
    warm_up="a fifth of the events, in the same daemon",
    may_use_running=True,
)

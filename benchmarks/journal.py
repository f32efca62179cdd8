"""`journal`: the journal alone, without the daemon around it: events appended and settled, in chunks of 100, 10 and 1.

Each size in a fresh file; every event's message id is judged. Forty chunks arrive in one turn of the loop, and share a commit.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import reference_batches
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program
from engine.clock import SystemClock
from engine.journal.contract import Claim
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Lease, Part

if TYPE_CHECKING:
    from sandbox.wire import Events

EVENTS_A_RUN: Final = {100: 100_000, 10: 40_000, 1: 10_000}
TOGETHER: Final = 40


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second."""
    seen = {}
    for size, total in EVENTS_A_RUN.items():
        batches = reference_batches(conditions.pick(total, 100 * size), size)
        with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder:
            rates = asyncio.run(_rates(f"{folder}/journal.db", size, batches))
        seen[f"journal_append_{size}"], seen[f"journal_settle_{size}"] = rates
    return seen


async def _rates(path: str, size: int, batches: list[Events]) -> tuple[float, float]:
    clock = SystemClock()
    journal = SqliteJournal.open(path, clock=clock)
    leases: list[Lease] = []
    begun = time.perf_counter()
    for at in range(0, len(batches), TOGETHER):
        now_ms = clock.now_ms()
        chunks = [Chunk(1, events, now_ms, now_ms) for events in batches[at : at + TOGETHER]]
        claims = [Claim(place, 0, size, 1) for place in range(len(chunks))]
        leases += await journal.append(chunks, claims=claims)
    appended_s = time.perf_counter() - begun
    begun = time.perf_counter()
    everything = Part(tuple(range(size)), "delivered")
    for at in range(0, len(leases), TOGETHER):
        await journal.settle([(lease, [everything]) for lease in leases[at : at + TOGETHER]])
    settled_s = time.perf_counter() - begun
    await journal.close()
    total = len(batches) * size
    return total / appended_s, total / settled_s


PROGRAM: Final = Program(
    tuple(
        Measure(f"journal_{what}_{size}", "events/s", baseline=FLOOR)
        for size in EVENTS_A_RUN
        for what in ("append", "settle")
    ),
    run,
    warm_up="none: a fresh file",
)

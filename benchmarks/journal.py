"""`journal`: the journal alone, without the daemon around it: events appended and settled a second, in chunks of 100, 10 and 1."""

from __future__ import annotations

import asyncio
import tempfile
import time
from typing import Final

from benchmarks.harness import Figure, figure, reference_batches
from engine.clock import SystemClock
from engine.journal.contract import Claim
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Lease, Part

EVENTS_A_RUN: Final = {100: 100_000, 10: 40_000, 1: 10_000}
TOGETHER: Final = 40
"""Chunks that arrive in one turn of the loop."""


def measure(floor: float | None, runs: int) -> list[Figure]:
    """Events a second, each run in a fresh file; every event's message id is judged."""
    figures = []
    for size, total in EVENTS_A_RUN.items():
        results = [_run(size, total) for _ in range(runs)]
        for at, what in enumerate(("append", "settle")):
            values = [result[at] for result in results]
            figures.append(figure(f"journal_{what}_{size}", "events/s", values, floor=floor))
    return figures


def _run(size: int, total: int) -> tuple[float, float]:
    batches = reference_batches(total, size)
    clock = SystemClock()

    async def run() -> tuple[float, float]:
        journal = SqliteJournal.open(f"{folder}/journal.db", clock=clock)
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
        return total / appended_s, total / settled_s

    with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder:
        return asyncio.run(run())

"""`memory_per_worker`: memory that a worker shares with nobody (`Private_*` of smaps_rollup): idle, and suspended.

The median of 20 workers. The suspended ones held 20 MiB in their cache and globals before. Reading it takes root.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, daemon, reference_events, wait_until
from benchmarks.suite.program import Conditions, Measure, Program, Skipped

if TYPE_CHECKING:
    from engine.client import Client

WORKERS: Final = 20
HOARD: Final = """
kept = []

def on_track(event, settings):
    if not kept:
        kept.extend([str(n) * 100 for n in range(20_000)])
    for n in range(2_000):
        cache.load(str(n), lambda: [str(n)] * 500)
"""
"""About 10 MiB each."""
ANSWERED_S: Final = 0.2


def run(conditions: Conditions) -> dict[str, float | Skipped]:
    """MiB."""
    if os.geteuid():
        reason = Skipped("only root may read how much of a worker's memory is shared: run it as root")
        return dict.fromkeys(("memory_per_worker", "memory_per_suspended_worker"), reason)
    count = conditions.pick(WORKERS, 3)
    return {
        "memory_per_worker": _median(REFERENCE_SOURCE, "idle", count, suspend_after_s=60),
        "memory_per_suspended_worker": _median(HOARD, "suspended", count, suspend_after_s=1),
    }


def _median(source: str, state: str, count: int, *, suspend_after_s: int) -> float:
    with daemon(settings={"suspend_after_s": suspend_after_s}) as (client, _):
        for at in range(count):
            client.deploy(f"destination-{at}", source, settings=REFERENCE_SETTINGS)
            client.submit(f"destination-{at}", reference_events(10), wait=True)
        wait_until(lambda: len(_pids(client, state)) >= count, f"{state} workers everywhere")
        time.sleep(ANSWERED_S)  # a suspended one answers when it has returned its memory
        return statistics.median(_private_mib(pid) for pid in _pids(client, state))


def _pids(client: Client, state: str) -> list[int]:
    return [row["pid"] for row in client.workers() if row["state"] == state]


def _private_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


PROGRAM: Final = Program(
    (
        Measure("memory_per_worker", "MiB", "less"),
        Measure("memory_per_suspended_worker", "MiB", "less"),
    ),
    run,
    warm_up="ten events a worker",
    runs_share=0.5,
)

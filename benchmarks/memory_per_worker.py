"""`memory_per_worker`: memory that a bound, idle worker shares with nobody (Private_* of smaps_rollup)."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, Figure, daemon, figure, reference_events

WORKERS: Final = 20


def measure(_floor: float | None, runs: int) -> list[Figure]:
    """MiB: the median worker of each run. Reading it takes root."""
    return [figure("memory_per_worker", "MiB", [_run() for _ in range(max(1, runs // 2))])]


def _run() -> float:
    with daemon() as (client, _):
        for at in range(WORKERS):
            client.deploy(f"destination-{at}", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
            client.submit(f"destination-{at}", reference_events(10), wait=True)
        pids = [row["pid"] for row in client.workers() if row["state"] == "idle"]
        return statistics.median(_private_mib(pid) for pid in pids)


def _private_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024

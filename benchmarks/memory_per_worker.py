"""`memory_per_worker`: memory that a worker shares with nobody (Private_* of smaps_rollup): idle, and suspended.

The suspended ones held 20 MiB in their cache and globals before.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, Figure, daemon, figure, reference_events

if TYPE_CHECKING:
    from engine.client import Client

WORKERS: Final = 20
CONFIG: Final = "suspend_after_s = 1\n"
HOARD: Final = """
kept = []

def on_track(event, settings):
    if not kept:
        kept.extend([str(n) * 100 for n in range(20_000)])
    for n in range(2_000):
        cache.load(str(n), lambda: [str(n)] * 500)
"""
"""About 10 MiB each."""
WAIT_S_MAX: Final = 30.0


def measure(_floor: float | None, runs: int) -> list[Figure]:
    """MiB: the median worker of each run. Reading it takes root."""
    times = max(1, runs // 2)
    return [
        figure("memory_per_worker", "MiB", [_run(REFERENCE_SOURCE, "idle") for _ in range(times)]),
        figure("memory_per_suspended_worker", "MiB", [_run(HOARD, "suspended") for _ in range(times)]),
    ]


def _run(source: str, state: str) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        if state == "suspended":
            config.write(CONFIG)
            config.flush()
        with daemon("--config", config.name) as (client, _):
            for at in range(WORKERS):
                client.deploy(f"destination-{at}", source, settings=REFERENCE_SETTINGS)
                client.submit(f"destination-{at}", reference_events(10), wait=True)
            return statistics.median(_private_mib(pid) for pid in _pids(client, state))


def _pids(client: Client, state: str) -> list[int]:
    """Of the workers, as soon as one a destination is in this state."""
    deadline = time.monotonic() + WAIT_S_MAX
    while len(pids := [row["pid"] for row in client.workers() if row["state"] == state]) < WORKERS:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(pids)} of {WORKERS} workers are {state}")
        time.sleep(0.1)
    time.sleep(0.2)  # a suspended one answers when it has returned its memory
    return pids


def _private_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024

"""`cold_start`: the first event of a fresh destination, and of a suspended one; submit to outcome, durable."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import (
    RECORDED,
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    Figure,
    daemon,
    figure,
    percentile,
    reference_events,
)
from engine.events import encode_events

if TYPE_CHECKING:
    from engine.client import Client

DESTINATIONS: Final = 200
SUSPENDED: Final = 50


def measure(_floor: float | None, runs: int) -> list[Figure]:
    """Milliseconds, p50 and p99 of each run."""
    results = [_run() for _ in range(max(1, runs // 2))]
    names = ("cold_start_p50", "cold_start_p99", "wake_p50", "wake_p99")
    return [figure(name, "ms", [result[at] for result in results]) for at, name in enumerate(names)]


def _run() -> tuple[float, float, float, float]:
    with daemon() as (client, _):
        names = [f"destination-{at}" for at in range(DESTINATIONS)]
        for name in names:
            client.deploy(name, REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
        time.sleep(0.5)  # spares are forked again after the deploys; a cold start finds them
        cold = [_first(client, name) for name in names]
    with daemon("--config", str(RECORDED.parent / "suspend.toml")) as (client, _):
        names = [f"destination-{at}" for at in range(SUSPENDED)]
        for name in names:
            client.deploy(name, REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
            _first(client, name)
        deadline = time.monotonic() + 30
        while any(row["state"] == "idle" for row in client.workers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        wake = [_first(client, name) for name in names]
    return percentile(cold, 50), percentile(cold, 99), percentile(wake, 50), percentile(wake, 99)


def _first(client: Client, name: str) -> float:
    columns = encode_events(reference_events(1))
    begun = time.perf_counter()
    result = client.submit(name, columns, wait=True)
    elapsed_ms = (time.perf_counter() - begun) * 1000
    if result.delivered != 1:
        raise RuntimeError(f"the first event of {name} was not delivered: {result.by_code}")
    time.sleep(0.01)  # the next one finds a spare again, as destinations that wake one by one do
    return elapsed_ms

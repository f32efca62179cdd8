"""`retry_storm`: submit throughput in 100s while 100,000 deliveries of another destination wait to be tried again, against without."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, Figure, daemon, figure, reference_batches

if TYPE_CHECKING:
    from engine.client import Client

WAITING: Final = 100_000
EVENTS: Final = 100_000
SIZE: Final = 100
FAILS: Final = """
from engine.function import RetryError

def on_track(event, settings):
    raise RetryError("the other side is down")
"""


def measure(floor: float | None, runs: int) -> list[Figure]:
    """Events a second, and their ratio, each run in a fresh daemon."""
    without, during, ratios = [], [], []
    for _ in range(max(1, runs // 2)):
        calm, stormy = _run()
        without.append(calm)
        during.append(stormy)
        ratios.append(stormy / calm)
    return [
        figure("retry_storm_without", "events/s", without, floor=floor),
        figure("retry_storm_during", "events/s", during, floor=floor),
        figure("retry_storm_ratio", "with/out", ratios),
    ]


def _run() -> tuple[float, float]:
    with daemon() as (client, _):
        client.deploy("reference", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
        client.deploy("down", FAILS)
        _rate(client, EVENTS // 5)
        calm = _rate(client, EVENTS)
        for result in client.submit_many("down", reference_batches(WAITING, SIZE)):
            if result.accepted != SIZE:
                raise RuntimeError("an event wasn't accepted")
        _wait_until_all_failed_or_stopped(client)
        stormy = _rate(client, EVENTS)
        still = client.show("down")["stored"]
        if still < WAITING:
            raise RuntimeError(f"{still} failing events are left, and not {WAITING}")
        return calm, stormy


def _wait_until_all_failed_or_stopped(client: Client) -> None:
    """The circuit breaker opens after a hundred failures: from then on they wait, and one probes now and then."""
    deadline = time.monotonic() + 60
    while True:
        shown = client.show("down")
        if shown["state"] == "open" or sum(shown["by_code"].values()) >= WAITING:
            return
        if time.monotonic() > deadline:
            raise RuntimeError("the failing events didn't fail in time")
        time.sleep(0.1)


def _rate(client: Client, count: int) -> float:
    batches = reference_batches(count, SIZE)
    delivered = 0
    begun = time.perf_counter()
    for result in client.submit_many("reference", batches, wait=True):
        delivered += result.delivered
    elapsed_s = time.perf_counter() - begun
    if delivered != count:
        raise RuntimeError(f"{delivered} of {count} events were delivered")
    return count / elapsed_s

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
SUBMITTED: Final = 110_000
FAILS: Final = """
from engine.function import RetryError

def on_track(event, settings):
    if not event["messageId"].startswith("0"):
        raise RetryError("the other side is down")
"""
"""One in sixteen is delivered: what always fails is stopped by the circuit breaker, and doesn't storm."""


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
        for result in client.submit_many("down", reference_batches(SUBMITTED, SIZE)):
            if result.accepted != SIZE:
                raise RuntimeError("an event wasn't accepted")
        _wait_until_all_failed_once(client)
        stormy = _rate(client, EVENTS)
        still = client.show("down")["stored"]
        if still < WAITING:
            raise RuntimeError(f"{still} failing events are left, and not {WAITING}")
        return calm, stormy


def _wait_until_all_failed_once(client: Client) -> None:
    deadline = time.monotonic() + 120
    while sum(client.show("down")["by_code"].values()) < SUBMITTED:
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

"""What is measured of a daemon while its settings are tried: one load a figure, each about half a second."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

from benchmarks.harness import (
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    delivered_per_s,
    reference_batches,
    wait_until,
)
from benchmarks.load import drive

if TYPE_CHECKING:
    from engine.client import Client

EVENTS: Final = 20_000
SINGLE_EVENTS: Final = 4_000
STORED_EVENTS: Final = 40_000
FRESH: Final = 16
SPARES_S: Final = 0.3
QUIET_PER_S: Final = 200.0
QUIET_SUBMITS: Final = 80


def in_hundreds(client: Client, share: float) -> float:
    """Events a second in submits of 100, of one destination."""
    return delivered_per_s(client, _reference(client), reference_batches(_of(EVENTS, share), 100))


def singly(client: Client, share: float) -> float:
    """Events a second in submits of 1, pipelined."""
    return delivered_per_s(client, _reference(client), reference_batches(_of(SINGLE_EVENTS, share), 1))


def from_disk(client: Client, share: float) -> float:
    """Events a second of a destination that is resumed with a backlog on disk."""
    name, count = _reference(client), _of(STORED_EVENTS, share)
    client.pause(name)
    for _ in client.submit_many(name, reference_batches(count, 100)):
        pass
    begun = time.perf_counter()
    client.resume(name)
    wait_until(lambda: not client.show(name)["stored"], "a drained backlog", 120)
    return count / (time.perf_counter() - begun)


def cold(client: Client, share: float) -> float:
    """Milliseconds until the last of many fresh destinations, hit at once, has run its first event."""
    names = [f"fresh-{uuid.uuid4().hex[:8]}" for _ in range(max(2, round(FRESH * share)))]
    for name in names:
        client.deploy(name, REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
    time.sleep(SPARES_S)  # spares are forked again after the deploys
    sent = drive(client.path, list(zip(names, reference_batches(len(names), 1), strict=True)))
    for name in names:
        client.remove(name, discard=True)
        client.functions.remove(name)
    return sent.latencies.percentile_ms(100)


def quiet_p99(client: Client, share: float) -> float:
    """Milliseconds: p99 of submits of 10 at 200 a second, open loop."""
    name, count = _reference(client), max(10, round(QUIET_SUBMITS * share))
    load = [(name, events) for events in reference_batches(count * 10, 10)]
    return drive(client.path, load, submits_per_s=QUIET_PER_S).latencies.percentile_ms(99)


def _of(count: int, share: float) -> int:
    return max(100, round(count * share) // 100 * 100)


def _reference(client: Client) -> str:
    """Deployed once a daemon: the same code again changes nothing."""
    client.deploy("reference", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
    return "reference"

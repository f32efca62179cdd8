"""`engine`, with everything on: durable, jailed, with deadlines; in submits of 1 and of 100, pipelined, until the outcomes are there.

From the events as Python objects, as all contestants are given them; `encoded` from events that were encoded before, as
those are that a gateway or a file hands on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.harness import delivered_per_s, reference_batches, reference_events, subject
from benchmarks.suite.program import Conditions

if TYPE_CHECKING:
    from engine.client import Client


def run(events: int) -> dict[str, float]:
    """Events a second."""
    seen = {}
    with subject(Conditions()) as daemon:
        client = daemon.client
        for worker, limits in (("_one_worker", {"concurrency": 1}), ("", {})):
            name = daemon.deploy(limits=limits)
            delivered_per_s(client, name, reference_batches(max(100, events // 5), 100))
            for size in (100, 1):
                seen[f"ours_{size}{worker}"] = _rate(client, name, reference_events(max(size, events)), size)
            batches = reference_batches(max(100, events), 100)
            seen[f"ours_encoded_100{worker}"] = delivered_per_s(client, name, batches)
    return seen


def _rate(client: Client, name: str, events: list[dict[str, Any]], size: int) -> float:
    begun = time.perf_counter()
    batches = (events[at : at + size] for at in range(0, len(events), size))
    delivered = sum(result.delivered for result in client.submit_many(name, batches, wait=True))
    if delivered != len(events):
        raise RuntimeError(f"{delivered} of {len(events)} events were delivered")
    return delivered / (time.perf_counter() - begun)

"""`fairness`: how long a quiet destination's single events take beside one with a backlog, against without it.

The flooded destination has a backlog on disk, more than it works off while it is measured, and its workers and the
daemon have all they can do. The quiet one gets an event now and then, submit to outcome, durable.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import (
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

BACKLOG: Final = 1_000_000
SAMPLES: Final = 300
EVERY_S: Final = 0.01


def measure(floor: float | None, runs: int) -> list[Figure]:  # noqa: ARG001  a time has no ratio to a rate
    """Milliseconds: p99 of the delay alone and beside the flood, and by how much that is more."""
    alone, beside = zip(*(_run() for _ in range(runs)), strict=True)
    return [
        figure("quiet_alone_p99", "ms", list(alone)),
        figure("quiet_beside_p99", "ms", list(beside)),
        figure("fairness_p99_more", "ms", [b - a for a, b in zip(alone, beside, strict=True)]),
    ]


def _run() -> tuple[float, float]:
    with daemon() as (client, _):
        for name in ("flooded", "quiet"):
            client.deploy(name, REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
        alone = _delays(client)
        client.pause("flooded")
        columns = encode_events(reference_events(100))
        for _ in client.submit_many("flooded", (columns for _ in range(BACKLOG // 100)), dedupe=False):
            pass
        client.resume("flooded")
        beside = _delays(client)
        left = client.show("flooded")["stored"]
        if not left:
            raise RuntimeError("the backlog was worked off before the measurement ended")
        return percentile(alone, 99), percentile(beside, 99)


def _delays(client: Client) -> list[float]:
    """Milliseconds, submit to outcome, one after the other."""
    event = encode_events(reference_events(1))
    client.submit("quiet", event, wait=True, dedupe=False)
    delays = []
    for _ in range(SAMPLES):
        begun = time.perf_counter()
        client.submit("quiet", event, wait=True, dedupe=False)
        delays.append((time.perf_counter() - begun) * 1000)
        time.sleep(EVERY_S)
    return delays

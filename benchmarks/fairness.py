"""`fairness`: how long a quiet destination's single events take beside one with a backlog, against without it.

The flooded destination has a backlog on disk, more than it works off while it is measured, and its workers and the
daemon have all they can do. The quiet one gets an event every 10 ms, submit to outcome, durable; one that takes longer
keeps the next from being sent in time, which the histogram corrects.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, daemon, reference_events
from benchmarks.suite.latencies import Latencies
from benchmarks.suite.program import Conditions, Measure, Program, latency_measures
from engine.events import encode_events

if TYPE_CHECKING:
    from engine.client import Client

BACKLOG: Final = 1_000_000
SAMPLES: Final = 300
EVERY_S: Final = 0.01


def run(conditions: Conditions) -> dict[str, Latencies | float]:
    """Milliseconds: alone and beside the flood, and by how much p99 is more."""
    samples = conditions.pick(SAMPLES, 10)
    with daemon() as (client, _):
        for name in ("flooded", "quiet"):
            client.deploy(name, REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
        alone = _delays(client, samples)
        client.pause("flooded")
        columns = encode_events(reference_events(100))
        submits = conditions.pick(BACKLOG, 100_000) // 100
        for _ in client.submit_many("flooded", (columns for _ in range(submits)), dedupe=False):
            pass
        client.resume("flooded")
        beside = _delays(client, samples)
        if not client.show("flooded")["stored"]:
            raise RuntimeError("the backlog was worked off before the measurement ended")
    return {
        "quiet_alone": alone,
        "quiet_beside": beside,
        "fairness_p99_more": beside.percentile_ms(99) - alone.percentile_ms(99),
    }


def _delays(client: Client, samples: int) -> Latencies:
    event = encode_events(reference_events(1))
    client.submit("quiet", event, wait=True, dedupe=False)
    delays = Latencies()
    due = time.perf_counter()
    for _ in range(samples):
        begun = time.perf_counter()
        client.submit("quiet", event, wait=True, dedupe=False)
        now = time.perf_counter()
        delays.record(now - begun, interval_s=EVERY_S)
        due = max(due + EVERY_S, now)
        time.sleep(due - now)
    return delays


PROGRAM: Final = Program(
    (
        *latency_measures("quiet_alone"),
        *latency_measures("quiet_beside", baseline="quiet_alone"),
        Measure("fairness_p99_more", "ms", "less"),
    ),
    run,
    warm_up="one event of the quiet destination",
)

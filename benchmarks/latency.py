"""`latency`: client to outcome, durable, at 10 %, 50 % and 80 % of capacity, in submits of 10 to one destination.

Capacity is what the same daemon has just done in the same submits, as fast as it could. The load is open (`load.py`): submits
are sent when they are due, and their latency counts from then, so that nothing is omitted. Client, daemon and worker share
the machine's cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.harness import delivered_per_s, reference_batches, subject
from benchmarks.load import drive
from benchmarks.suite.program import Conditions, Measure, Program, latency_measures

if TYPE_CHECKING:
    from benchmarks.suite.latencies import Latencies

SIZE: Final = 10
EVENTS: Final = 60_000
SECONDS: Final = 3.0
PERCENT: Final = (10, 50, 80)


def run(conditions: Conditions) -> dict[str, float | Latencies]:
    """Events a second, and milliseconds."""
    count = conditions.pick(EVENTS, 200)
    with subject(conditions) as daemon:
        name = daemon.deploy()
        delivered_per_s(daemon.client, name, reference_batches(max(count // 5, SIZE), SIZE))
        capacity = delivered_per_s(daemon.client, name, reference_batches(count, SIZE))
        seen: dict[str, float | Latencies] = {"latency_capacity": capacity}
        for percent in PERCENT:
            per_s = capacity * percent / 100 / SIZE
            submits = max(20, round(per_s * conditions.pick(SECONDS, 0.1)))
            load = [(name, events) for events in reference_batches(submits * SIZE, SIZE)]
            seen[f"latency_{percent}"] = drive(daemon.client.path, load, submits_per_s=per_s).latencies
    return seen


PROGRAM: Final = Program(
    (
        Measure("latency_capacity", "events/s"),
        *latency_measures(*(f"latency_{percent}" for percent in PERCENT)),
    ),
    run,
    warm_up="a fifth of the events of the capacity, then those",
    may_use_running=True,
)

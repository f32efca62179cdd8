"""`workers`: one destination that may have 1, 2, 4 and 8 workers (`concurrency`), in submits of 100, durable.

With the reference handler, which is bound by processors: more workers than cores would only take turns, and the engine
doesn't start them. And with one that sleeps 2 ms an event (`waiting`): there each worker adds its own.
"""

from __future__ import annotations

from typing import Final

from benchmarks.harness import REFERENCE_SOURCE, delivered_per_s, reference_batches, subject
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program

EVENTS: Final = 60_000
WAITING_EVENTS_A_WORKER: Final = 400
WORKERS: Final = (1, 2, 4, 8)
WAITING: Final = "import time\n\n\ndef on_track(event, settings):\n    time.sleep(0.002)\n"


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second, by how many workers there may be."""
    seen = {}
    with subject(conditions) as daemon:
        for workers in WORKERS:
            count = conditions.pick(EVENTS, 200)
            waiting = conditions.pick(WAITING_EVENTS_A_WORKER * workers, 100)
            limits = {"concurrency": workers}
            for kind, source, total in (("busy", REFERENCE_SOURCE, count), ("waiting", WAITING, waiting)):
                name = daemon.deploy(source, limits=limits)
                for some in (max(100, total // 5), total):
                    rate = delivered_per_s(daemon.client, name, reference_batches(some, 100))
                seen[f"workers_{kind}_{workers}"] = rate
    return seen


PROGRAM: Final = Program(
    (
        *(Measure(f"workers_busy_{workers}", "events/s", baseline=FLOOR) for workers in WORKERS),
        *(
            Measure(
                f"workers_waiting_{workers}", "events/s", baseline="workers_waiting_1" if workers > 1 else ""
            )
            for workers in WORKERS
        ),
    ),
    run,
    warm_up="a fifth of the events, and at least 100: by then the workers are there",
    may_use_running=True,
)

"""`handlers`: the reference mapping as `def`, as `async def` that never waits, and as `on_batch` of 20; in submits of 100.

Durable, client to first outcome; each kind is a destination of its own.
"""

from __future__ import annotations

from typing import Final

from benchmarks.harness import REFERENCE_SOURCE, delivered_per_s, reference_batches, subject
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program

EVENTS: Final = 100_000
SOURCES: Final = {
    "def": REFERENCE_SOURCE,
    "async": REFERENCE_SOURCE.replace("def on_track", "async def on_track"),
    "batch": REFERENCE_SOURCE.replace("def on_track", "def mapped")
    + "\n\ndef on_batch(events, settings):\n    for event in events:\n        mapped(event, settings)\n",
}


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second, by kind."""
    count = conditions.pick(EVENTS, 200)
    seen = {}
    with subject(conditions) as daemon:
        for kind, source in SOURCES.items():
            name = daemon.deploy(source)
            for total in (max(100, count // 5), count):
                seen[f"handlers_{kind}"] = delivered_per_s(daemon.client, name, reference_batches(total, 100))
    return seen


PROGRAM: Final = Program(
    tuple(Measure(f"handlers_{kind}", "events/s", baseline=FLOOR) for kind in SOURCES),
    run,
    warm_up="a fifth of the events",
    may_use_running=True,
)

"""`floor`: decode the reference event with the worker's own decoder, call the restricted handler, encode an outcome; one process, no engine.

The most that one worker could do if everything around it were free. Throughputs are shown as ratios to it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, cast

import msgpack

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, reference_events
from benchmarks.suite.program import Conditions, Measure, Program
from sandbox.compiler import compile_source, execute
from sandbox.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS: Final = 50_000


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second."""
    module = execute(compile_source(REFERENCE_SOURCE, "function.py"), scope={})
    handler = cast("Callable[..., object]", module["on_track"])
    bodies = [msgpack.packb(event) for event in reference_events(100)]
    settings = Settings(REFERENCE_SETTINGS)

    def some(count: int) -> float:
        begun = time.perf_counter()
        for at in range(count):
            handler(msgpack.unpackb(bodies[at % 100]), settings)
            msgpack.packb((at, 0))
        return count / (time.perf_counter() - begun)

    events = conditions.pick(EVENTS, 2_000)
    some(events // 5)
    return {"floor": some(events)}


PROGRAM: Final = Program((Measure("floor", "events/s"),), run, warm_up="a fifth of the events")

"""`floor`: decode the event, call the restricted handler, encode the outcome; one process, no engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import msgpack

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, Figure, figure, reference_events, repeat
from sandbox.compiler import compile_source, execute
from sandbox.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS: int = 50_000


def measure(_floor: float | None, runs: int) -> list[Figure]:
    """Events a second."""
    module = execute(compile_source(REFERENCE_SOURCE, "function.py"), scope={})
    handler = cast("Callable[..., object]", module["on_track"])
    bodies = [msgpack.packb(event) for event in reference_events(100)]
    settings = Settings(REFERENCE_SETTINGS)

    def run() -> float:
        begun = time.perf_counter()
        for at in range(EVENTS):
            handler(msgpack.unpackb(bodies[at % 100]), settings)
            msgpack.packb((at, 0))
        return EVENTS / (time.perf_counter() - begun)

    return [figure("floor", "events/s", repeat(run, runs))]

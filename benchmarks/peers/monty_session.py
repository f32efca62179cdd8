"""`pydantic-monty`: one session in one of its worker processes; the function is defined once, and called with each event as input."""

from __future__ import annotations

import time

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, reference_events

CALL = "on_track(event, settings) and 0"


def run(events: int) -> dict[str, float]:
    """Events a second."""
    from pydantic_monty import Monty  # noqa: PLC0415  it may be missing

    made = reference_events(events)
    source = REFERENCE_SOURCE.replace(
        "settings.prefix", "settings['prefix']"
    )  # its objects have no attributes
    with Monty() as pool, pool.checkout() as session:
        session.feed_run(source)
        session.feed_run(f"settings = {REFERENCE_SETTINGS!r}")
        for some in (made[: events // 5], made):
            begun = time.perf_counter()
            for event in some:
                session.feed_run(CALL, inputs={"event": event})
            elapsed_s = time.perf_counter() - begun
    return {"monty": events / elapsed_s}

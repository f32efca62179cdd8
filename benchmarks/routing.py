"""`routing`: what the supervisor pays for an event and a destination when a source's events fan out to 100 of them.

In submits of 100: filters on types, on ids, samples, on what only workers see (`bodies`), and on ids with restrictive
`integrations` objects. One process, no engine.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import recorded_events
from benchmarks.suite.program import Conditions, Measure, Program
from engine.dispatch.routing import Route, route
from engine.events import encode_events
from engine.filters.headers import header_filter
from engine.filters.parsing import parse

if TYPE_CHECKING:
    from sandbox.wire import Events

DESTINATIONS: Final = 100
EVENTS: Final = 1_000
FILTERS: Final = {
    "routing_types": 'type = "track" or type = "page" and exists properties.path',
    "routing_ids": 'type != "alias" and not (userId = "nobody" or messageId match "test-*")',
    "routing_samples": "sample 10%",
    "routing_bodies": 'properties.total > 100 and event match "Order*"',
}
"""On types alone, on ids, on samples, and on what only the worker can see."""


def run(conditions: Conditions) -> dict[str, float]:
    """Microseconds an event and a destination; the last figure with restrictive `integrations` too."""
    count = conditions.pick(EVENTS, 100)
    events = (recorded_events() * 2)[:count]
    frames = [encode_events(events[at : at + 100]) for at in range(0, count, 100)]
    wishes = {"All": True, "d1": False, "d2 (main)": True, "elsewhere": False}
    restrictive = [
        encode_events([{**event, "integrations": wishes} for event in events[at : at + 100]])
        for at in range(0, count, 100)
    ]
    seen = {name: _cost_us(source, frames) for name, source in FILTERS.items()}
    seen["routing_integrations"] = _cost_us(FILTERS["routing_ids"], restrictive)
    return seen


def _cost_us(source: str, frames: list[Events]) -> float:
    rules = parse(source)
    routes = [
        Route(number, (f"d{number} (main)", f"d{number}"), header_filter(rules))
        for number in range(DESTINATIONS)
    ]
    for _ in range(2):  # the first is the warm-up
        begun = time.perf_counter()
        for events in frames:
            route(events, routes)
        elapsed_s = time.perf_counter() - begun
    return elapsed_s / (len(frames) * 100 * DESTINATIONS) * 1e6


PROGRAM: Final = Program(
    tuple(Measure(name, "us", "less") for name in (*FILTERS, "routing_integrations")),
    run,
    warm_up="the same events once",
)

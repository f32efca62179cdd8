"""`routing`: what the supervisor pays for an event and a destination when a source's events fan out to 100 of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import Figure, figure, recorded_events, repeat
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


def measure(_floor: float | None, runs: int) -> list[Figure]:
    """Microseconds an event and a destination, in submits of 100; the last figure with restrictive `integrations` too."""
    events = (recorded_events() * 2)[:EVENTS]
    frames = [encode_events(events[at : at + 100]) for at in range(0, EVENTS, 100)]
    wishes = {"All": True, "d1": False, "d2 (main)": True, "elsewhere": False}
    restrictive = [
        encode_events([{**event, "integrations": wishes} for event in events[at : at + 100]])
        for at in range(0, EVENTS, 100)
    ]
    figures = [_measured(name, source, frames, runs) for name, source in FILTERS.items()]
    figures.append(_measured("routing_integrations", FILTERS["routing_ids"], restrictive, runs))
    return figures


def _measured(name: str, source: str, frames: list[Events], runs: int) -> Figure:
    rules = parse(source)
    routes = [
        Route(number, (f"d{number} (main)", f"d{number}"), header_filter(rules))
        for number in range(DESTINATIONS)
    ]

    def run() -> float:
        begun = time.perf_counter()
        for events in frames:
            route(events, routes)
        return (time.perf_counter() - begun) / (EVENTS * DESTINATIONS) * 1e6

    return figure(name, "µs", repeat(run, runs))

"""Which operation of the table answers which method and path below `/api/v1`.

A path's part in braces is an argument. The others of a GET or DELETE are in the query, those of a POST or PATCH in a
JSON object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from engine.api.table import OPERATIONS

PREFIX: Final = "/api/v1"
PATHS: Final = {
    "deploy": (
        "POST /deploy",
        "Keep code as a version of a function, and run it as the destination of the same name.",
    ),
    "test": ("POST /test", "Run events through code that isn't deployed."),
    "function.list": ("GET /functions", "All functions."),
    "function.show": (
        "GET /functions/{name}",
        "A function with its versions, and code and settings of one of them.",
    ),
    "function.update": ("PATCH /functions/{name}", "Change what people see of a function."),
    "function.remove": ("DELETE /functions/{name}", "Forget a function that no destination runs."),
    "function.save": (
        "POST /functions/{name}/versions",
        "Keep code as a version, if it compiles and loads; with `deploy` move destinations to it.",
    ),
    "function.deploy": (
        "POST /functions/{name}/deploy",
        "Move destinations to a version: the newest, or an older one.",
    ),
    "function.check": ("POST /checks", "Compile and load every version that a destination runs."),
    "destination.list": ("GET /destinations", "All destinations, as they are set up."),
    "destination.create": ("POST /destinations", "Run a function on events of sources."),
    "destination.show": (
        "GET /destinations/{name}",
        "A destination with filter, limits and settings; never a sensitive value.",
    ),
    "destination.update": ("PATCH /destinations/{name}", "Change what is given of a destination."),
    "remove": ("DELETE /destinations/{name}", "Forget a destination; with `discard` although events wait."),
    "setting.list": (
        "GET /destinations/{name}/settings",
        "A destination's settings; of sensitive ones no value.",
    ),
    "setting.update": ("PATCH /destinations/{name}/settings", "Set values; null takes one away."),
    "show": ("GET /destinations/{name}/status", "How a destination does: state, counters, what is stored."),
    "pause": ("POST /destinations/{name}/pause", "Let a destination's events wait."),
    "resume": (
        "POST /destinations/{name}/resume",
        "End a pause, a quarantine, or what the circuit breaker closed.",
    ),
    "logs": (
        "GET /destinations/{name}/logs",
        "The newest attempts that failed; with `follow` every attempt from now on.",
    ),
    "deliveries": (
        "GET /destinations/{name}/deliveries",
        "Stored deliveries: on the shelf, waiting, running, or one by its id.",
    ),
    "replay": ("POST /destinations/{name}/replay", "Put what is on the shelf back into the queue."),
    "source.list": ("GET /sources", "All sources."),
    "source.create": ("POST /sources", "Make a source, with its first write key."),
    "source.show": ("GET /sources/{name}", "A source with its write keys."),
    "source.update": ("PATCH /sources/{name}", "Change what is given of a source."),
    "source.remove": ("DELETE /sources/{name}", "Forget a source."),
    "source.samples": ("GET /sources/{name}/samples", "The last events that a source sent, of each type."),
    "list": ("GET /status", "How all destinations do."),
    "health": ("GET /health", "Which destinations are well."),
    "stats": ("GET /stats", "The daemon as a whole."),
    "workers": ("GET /workers", "The worker processes."),
    "metrics": ("GET /metrics", "What /metrics is made of."),
    "ready": ("GET /ready", "What /readyz is made of."),
    "usage": ("GET /usage", "What functions have used, by day."),
    "audit": ("GET /audit", "Who changed what."),
    "token.list": ("GET /tokens", "All tokens, without what they are."),
    "token.create": ("POST /tokens", "Make a token, which is shown this once."),
    "token.remove": ("DELETE /tokens/{name}", "Take a token away."),
    "key.list": ("GET /keys", "Ids of the keys that secrets are sealed under."),
    "key.rotate": ("POST /keys", "Seal every secret under a new key."),
}
"""Operation → method and path, and what it is for."""
NOT_OFFERED: Final = {
    "source.keys": "what a gateway itself follows",
    "http.count": "what a gateway itself tells",
}
"""Operation → why it has no path."""
SUBMITS: Final = {
    "submit": (
        "POST /destinations/{name}/events",
        "Send events to a destination; answered when they are durable.",
    ),
    "source.submit": (
        "POST /sources/{name}/events",
        "Send events from a source to all that is connected to it; answered when they are durable.",
    ),
}
"""Events are no operation of the table, and yet sent by whoever may."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    operation: str
    method: str
    path: str
    """Below `PREFIX`, with names in braces."""
    meaning: str

    @property
    def in_path(self) -> tuple[str, ...]:
        """Arguments that the path holds."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def is_in_query(self) -> bool:
        """Its other arguments are in the query."""
        return self.method in {"GET", "DELETE"}

    @property
    def is_stream(self) -> bool:
        """It answers with a line an item."""
        return self.operation in OPERATIONS and OPERATIONS[self.operation].is_stream


def _route(operation: str, line: str, meaning: str) -> Route:
    method, _, path = line.partition(" ")
    return Route(operation, method, path, meaning)


ROUTES: Final = tuple(_route(operation, *row) for operation, row in {**PATHS, **SUBMITS}.items())


@dataclass(frozen=True, slots=True)
class Match:
    """What a path leads to: a route a method, and the arguments that it holds."""

    by_method: dict[str, Route]
    arguments: dict[str, str]


def _shape(path: str) -> tuple[str, ...]:
    return tuple("" if part.startswith("{") else part for part in path.split("/"))


_BY_SHAPE: Final[dict[tuple[str, ...], dict[str, Route]]] = {}
for _each in ROUTES:
    _BY_SHAPE.setdefault(_shape(_each.path), {})[_each.method] = _each


def match(raw_path: str) -> Match | None:
    """What answers a path as it was sent, percent signs and all, without `PREFIX`; None if nothing does.

    Every part but the second of a path is a fixed word, so that there is nothing to search.
    """
    parts = raw_path.split("/")
    names = [unquote(part) for part in parts[2:3]]
    by_method = _BY_SHAPE.get((*parts[:2], *("" for _ in names), *parts[3:]))
    if by_method is None:
        return None
    route = next(iter(by_method.values()))
    return Match(by_method, dict(zip(route.in_path, names, strict=True)))

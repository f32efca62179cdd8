"""What is measured: one table of names, types, labels and meanings, and the form in which samples travel.

The daemon answers the operation `metrics` with samples; a gateway writes them as Prometheus reads them. Every label has
few values: names of destinations are bounded by `DESTINATIONS_MAX`, and what is beyond counts under `OTHER`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "engine_"
DESTINATIONS_MAX: Final = 100
"""Destinations that have samples of their own: the first that there were. A removed one makes room for a new one."""
REQUEST_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
"""Buckets of what a request of HTTP takes."""
OTHER: Final = "other"
"""The label of all others together. A destination of that name is counted with them."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. Counters count from the daemon's start."""

    kind: str
    """counter, gauge or histogram."""
    labels: tuple[str, ...]
    meaning: str


METRICS: Final = {
    # What becomes of events
    "accepted_total": Metric("counter", (), "deliveries that were made durable"),
    "outcomes_total": Metric("counter", ("destination", "code"), "attempts that ended so"),
    "retried_total": Metric("counter", ("destination",), "attempts that will be followed by another"),
    "dead_total": Metric("counter", ("destination",), "deliveries that were given up"),
    "duplicates_total": Metric("counter", ("destination",), "events that were known and not taken"),
    "delivery_seconds": Metric(
        "histogram", ("destination",), "from acceptance to delivery; `sum` is at most 6.25 % off"
    ),
    "deliveries": Metric(
        "gauge", ("destination", "state"), "in the journal: stored, or on the shelf as discarded or dead"
    ),
    "in_flight": Metric("gauge", ("destination",), "deliveries that workers have"),
    "destinations": Metric("gauge", ("state",), "destinations by state"),
    "fetches_total": Metric("counter", ("destination", "result"), "HTTP calls by class of status, or failed"),
    # Processes
    "workers": Metric("gauge", ("state",), "worker processes by state"),
    "worker_slots": Metric("gauge", (), "workers that may still be bound"),
    "worker_exits_total": Metric("counter", ("reason",), "workers that ended: exit, or which signal"),
    "workers_recycled_total": Metric("counter", (), "workers replaced because they kept too much memory"),
    "restarts_total": Metric("counter", ("process",), "processes that died and were started again"),
    "zygotes_replaced_total": Metric("counter", (), "zygotes that were replaced for their age"),
    "memory_bytes": Metric(
        "gauge", ("process",), "resident memory; of workers what they use beyond their start"
    ),
    "held_bytes": Metric("gauge", (), "events that the daemon keeps in memory"),
    # The journal
    "journal_commit_seconds": Metric("histogram", (), "a transaction, fsync included"),
    "journal_commit_bytes": Metric("histogram", (), "what a transaction writes of events and their ends"),
    "journal_bytes": Metric("gauge", (), "the journal's file, WAL included"),
    "journal_settled_total": Metric("counter", (), "deliveries whose end was written"),
    # The daemon
    "ready": Metric("gauge", ("check",), "1 if this check of /readyz passes"),
    "uptime_seconds": Metric("gauge", (), "since the daemon was started"),
    "info": Metric("gauge", ("version",), "1, and which version this is"),
    # HTTP
    "http_requests_total": Metric("counter", ("endpoint", "status"), "requests that gateways answered"),
    "http_request_seconds": Metric(
        "histogram", ("endpoint",), "from a request's head to the end of its answer"
    ),
}
"""Name without `PREFIX` → what it is. `engine/docs/operations.md` shows it."""


class Buckets:
    """A histogram with fixed bounds. One thread adds; others may read, and see a count more or less."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: the upper ends of all buckets but the last, rising."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def merge(self, counts: Sequence[int], total: float) -> None:
        """Those of another with the same bounds. Raises `ValueError` for other bounds."""
        for at, (ours, theirs) in enumerate(zip(self.counts, counts, strict=True)):
            self.counts[at] = ours + theirs
        self.sum += total

    def as_map(self) -> dict[str, Any]:
        """{bounds, counts, sum}: a count a bucket, not added up; the last is what lies beyond the bounds."""
        return {"bounds": list(self.bounds), "counts": list(self.counts), "sum": self.sum}


class Samples:
    """Collects what an answer of `metrics` holds: name → [{labels: {name: value}, value, or bounds, counts and sum}]."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[dict[str, Any]]] = {}

    def add(self, name: str, value: float | Buckets, *labels: str) -> None:
        """One sample; `labels` in the table's order. Raises `KeyError` or `ValueError` for what the table hasn't."""
        metric = METRICS[name]
        named = dict(zip(metric.labels, labels, strict=True))
        figures = value.as_map() if isinstance(value, Buckets) else {"value": value}
        self.by_name.setdefault(name, []).append({"labels": named, **figures})


def metrics_table() -> list[tuple[str, str, str, str]]:
    """(name, type, labels, meaning) for the documentation."""
    return [
        (f"{PREFIX}{name}", metric.kind, ", ".join(metric.labels), metric.meaning)
        for name, metric in METRICS.items()
    ]

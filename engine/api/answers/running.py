"""Answers about what runs, and how it does."""

from __future__ import annotations

from pydantic import Field

from engine.api.answers.nouns import Handler  # noqa: TC001  pydantic reads annotations
from engine.api.answers.shared import Answer, Counts, Event, Told


class Status(Answer):
    """How a destination does."""

    name: str
    version: int
    state: str
    handlers: list[str]
    workers: int
    ready: int
    in_flight: int
    delivered: int
    failed: int
    deployed: str


class Shelved(Answer):
    """Deliveries on the shelf."""

    discarded: int
    dead: int


class StatusShown(Answer):
    """How one destination does, with its counters since it was made."""

    name: str
    version: int
    state: str
    handlers: list[Handler]
    workers: int
    ready: int
    in_flight: int
    delivered: int
    failed: int
    deployed: str
    libraries: list[str]
    settings: list[str]
    limits: Counts
    stored: int
    stopped_since: str | None
    next_probe: str | None
    shelved: Shelved
    by_code: Counts
    today: Counts | None
    responses: Counts
    retried: int
    dead: int
    duplicates: int
    attempts_dropped: int
    attempts_pruned: int
    is_followed: bool
    mean_us: float | None


class StateChanged(Answer):
    """The state it is in now."""

    name: str
    state: str
    changed: bool


class Removed(Answer):
    """A destination that is gone, with what was stored of it."""

    name: str
    discarded: int


class Figures(Answer):
    """What happened in a time."""

    delivered: int
    failed: int
    retried: int
    dead: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    busy_p50_us: float | None
    responses: Counts


class WindowFigures(Figures):
    """The same with outcomes by code."""

    by_code: Counts


class HealthRow(Figures):
    """Whether a destination is well; figures are of the last hour, windows only of one that is named."""

    name: str
    state: str
    is_failing: bool
    retrying: int
    dead_from: str | None
    dead_until: str | None
    delivered_per_s: dict[str, float]
    failed_per_s: dict[str, float]
    warnings: list[str]
    windows: dict[str, WindowFigures] = Field(default={})


class Attempt(Answer):
    """One attempt that ended."""

    at: str
    delivery: str
    event_type: str
    attempt: int
    code: str
    error: Told | None
    logs: list[Told]
    logs_dropped_bytes: int
    requests: list[Told]
    duration_ms: float
    missed: int = 0


class Delivery(Answer):
    """A stored delivery. `event` is null where it can't be shown; `attempts` is told of one that is named."""

    id: str
    state: str
    code: str
    attempt: int
    accepted: str
    at: str
    event_type: str
    message_id: str
    error: Told | None
    logs: list[Told]
    event: Event | None
    attempts: list[Attempt] = Field(default=[])


class Replayed(Answer):
    """How many by now."""

    replayed: int
    is_done: bool
    dry_run: bool


class Worker(Answer):
    """A worker process."""

    id: int
    pid: int
    state: str
    destination: str
    in_flight: int
    invocations: int
    used_mib: float
    age_s: float


class Layer(Answer):
    """One layer of the jail, and what the kernel answered to attempts at it."""

    layer: str
    state: str
    answer: str


class RecordStats(Answer):
    """The file of records."""

    writable: bool
    file_bytes: int = 0
    attempts: int = 0


class EgressStats(Answer):
    """The processes that perform HTTP."""

    restarts: int
    layers: list[list[str]]


class JournalStats(Answer):
    """The journal since the start."""

    file_bytes: int
    commits: int
    appended: int
    settled: int
    duplicates: int
    writable: bool
    stored: int


class Zygote(Answer):
    """A process that forks workers, of one set of libraries."""

    libraries: list[str]
    retiring: bool
    forks: int
    workers: int
    age_s: float


class Stats(Answer):
    """The daemon as a whole."""

    uptime_s: float
    destinations: int
    outcomes: Counts
    workers: Counts
    workers_recycled: int
    zygotes: list[Zygote]
    zygotes_replaced: int
    worker_exits: Counts
    records: RecordStats
    layers: list[Layer]
    egress: EgressStats
    held_mib: float
    journal: JournalStats


class Sample(Answer):
    """One figure: `value`, or of a histogram bounds, counts and sum. A count a bucket, the last beyond all bounds."""

    labels: dict[str, str]
    value: float | None = None
    bounds: list[float] = Field(default=[])
    counts: list[int] = Field(default=[])
    sum: float = 0.0


class CheckRow(Answer):
    """One check of readiness."""

    name: str
    ok: bool
    detail: str


class Ready(Answer):
    """Whether every check passes."""

    ready: bool
    checks: list[CheckRow]

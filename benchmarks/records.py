"""`records`: throughput in submits of 100 with records and without, in interleaved pairs; all delivered, and 10 % failing.

Two daemons take turns, burst by burst; shares are medians of three pairs a run. What records cost is two dict entries a frame, an entry
and the detail's bytes a failure, and a transaction a second in another thread.

`python -m benchmarks.records serve …` is a daemon that records nothing: what a daemon would be that had no records at
all. There is no such option of the product.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psutil

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, daemon, in_turns, reference_events
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program
from engine.events import encode_events

if TYPE_CHECKING:
    from subprocess import Popen

    from engine.client import Client
    from sandbox.wire import Events

EVENTS_A_BURST: Final = 50_000
PAIRS: Final = 3
FAILING_SOURCE: Final = REFERENCE_SOURCE.replace(
    "    return {", "    if properties.get('fails'):\n        raise ValueError('no')\n    return {", 1
)


class Unrecorded:
    """Takes the place of `Records`, and of a `Record`, and forgets all it is told."""

    is_followed = False

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        self.totals: dict[str, int] = {}
        self.by_code: dict[str, int] = {}

    def of(self, _destination_id: int) -> Unrecorded:
        """Of every destination."""
        return self

    def count(self, name: str, count: int, value: int = 0) -> None:
        """Nothing."""

    def count_verdict(self, kind: str, count: int) -> None:
        """Nothing."""

    def add(self, attempt: Any) -> None:
        """Nothing."""

    async def start(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""


class Burst(NamedTuple):
    """One burst: events a second, and how long the supervisor's threads ran for an event."""

    rate: float
    cpu_us: float


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second with records, and as shares of what is without: that, and the supervisor's CPU time an event."""
    pairs, count = conditions.pick((PAIRS, EVENTS_A_BURST), (1, 1_000))
    seen: dict[str, float] = {}
    for name, source, failing in (("records", REFERENCE_SOURCE, 0), ("records_failing", FAILING_SOURCE, 10)):
        events = reference_events(100)
        for at in range(failing):
            properties = {**events[at * 10]["properties"], "fails": True}
            events[at * 10] = {**events[at * 10], "properties": properties}
        bursts = _bursts(source, encode_events(events), failing, pairs, count)
        seen |= {
            name: statistics.median(recorded.rate for recorded, _ in bursts),
            f"{name}_share": statistics.median(one.rate / other.rate for one, other in bursts),
            f"{name}_cpu": statistics.median(one.cpu_us / max(other.cpu_us, 0.01) for one, other in bursts),
        }
    return seen


def _bursts(source: str, columns: Events, failing: int, pairs: int, count: int) -> list[tuple[Burst, Burst]]:
    """Two daemons, turn about."""
    with daemon() as recorded, daemon(module="benchmarks.records") as unrecorded:
        for running in (recorded, unrecorded):
            running[0].deploy("reference", source, settings=REFERENCE_SETTINGS)
            _burst(running, columns, failing, count)
        return in_turns(
            pairs,
            lambda: _burst(recorded, columns, failing, count),
            lambda: _burst(unrecorded, columns, failing, count),
        )


def _burst(running: tuple[Client, Popen[bytes]], columns: Events, failing: int, count: int) -> Burst:
    client, process = running
    supervisor = psutil.Process(process.pid)
    before = supervisor.cpu_times()
    delivered = 0
    begun = time.perf_counter()
    for result in client.submit_many(
        "reference", (columns for _ in range(count // 100)), wait=True, dedupe=False
    ):
        delivered += result.delivered
    elapsed_s = time.perf_counter() - begun
    after = supervisor.cpu_times()
    if delivered != count * (100 - failing) // 100:
        raise RuntimeError(f"{delivered} of {count} events were delivered")
    cpu_s = after.user + after.system - before.user - before.system
    return Burst(count / elapsed_s, cpu_s * 1e6 / count)


PROGRAM: Final = Program(
    tuple(
        measure
        for name in ("records", "records_failing")
        for measure in (
            Measure(name, "events/s", baseline=FLOOR),
            Measure(f"{name}_share", "of without"),
            Measure(f"{name}_cpu", "of without", "less"),
        )
    ),
    run,
    warm_up="one burst of each daemon",
)


if __name__ == "__main__":
    from engine import parts
    from engine.cli import main

    vars(parts)["Records"] = Unrecorded  # the swap that this benchmark is about
    sys.exit(main.run())

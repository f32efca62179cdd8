"""`records`: throughput in submits of 100 with records and without, in interleaved pairs; all delivered, and 10 % failing.

`python -m benchmarks.records serve …` is a daemon that records nothing: what a daemon would be that had no records at
all. There is no such option of the product.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psutil

from benchmarks.harness import (
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    Figure,
    daemon,
    figure,
    reference_events,
)
from engine.events import encode_events

if TYPE_CHECKING:
    from subprocess import Popen

    from engine.client import Client
    from sandbox.wire import Events

EVENTS_A_BURST: Final = 50_000
PAIRS_A_RUN: Final = 3
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


def measure(floor: float | None, runs: int) -> list[Figure]:
    """With records, and as a share of what is without: events a second, and the supervisor's CPU time an event."""
    figures = []
    for name, source, failing in (("records", REFERENCE_SOURCE, 0), ("records_failing", FAILING_SOURCE, 10)):
        events = reference_events(100)
        for at in range(failing):
            events[at * 10] = {
                **events[at * 10],
                "properties": {**events[at * 10]["properties"], "fails": True},
            }
        pairs = _pairs(source, encode_events(events), failing, runs * PAIRS_A_RUN)
        figures += [
            figure(name, "events/s", [recorded.rate for recorded, _ in pairs], floor=floor),
            figure(f"{name}_share", "of without", [one.rate / other.rate for one, other in pairs]),
            figure(f"{name}_cpu", "of without", [one.cpu_us / other.cpu_us for one, other in pairs]),
        ]
    return figures


def _pairs(source: str, columns: Events, failing: int, pairs: int) -> list[tuple[Burst, Burst]]:
    """Two daemons, turn about, so that a machine that slows down slows both; either is the first as often."""
    with daemon() as recorded, daemon(module="benchmarks.records") as unrecorded:
        for client, _ in (recorded, unrecorded):
            client.deploy("reference", source, settings=REFERENCE_SETTINGS)
        _burst(recorded, columns, failing)
        _burst(unrecorded, columns, failing)
        values = []
        for at in range(pairs):
            if at % 2:
                without = _burst(unrecorded, columns, failing)
                values.append((_burst(recorded, columns, failing), without))
            else:
                values.append((_burst(recorded, columns, failing), _burst(unrecorded, columns, failing)))
        return values


def _burst(running: tuple[Client, Popen[bytes]], columns: Events, failing: int) -> Burst:
    client, process = running
    supervisor = psutil.Process(process.pid)
    before = supervisor.cpu_times()
    delivered = 0
    begun = time.perf_counter()
    for result in client.submit_many(
        "reference", (columns for _ in range(EVENTS_A_BURST // 100)), wait=True, dedupe=False
    ):
        delivered += result.delivered
    elapsed_s = time.perf_counter() - begun
    after = supervisor.cpu_times()
    if delivered != EVENTS_A_BURST * (100 - failing) // 100:
        raise RuntimeError(f"{delivered} of {EVENTS_A_BURST} events were delivered")
    cpu_s = after.user + after.system - before.user - before.system
    return Burst(EVENTS_A_BURST / elapsed_s, cpu_s * 1e6 / EVENTS_A_BURST)


if __name__ == "__main__":
    from engine import daemon as parts
    from engine.cli.main import run

    vars(parts)["Records"] = Unrecorded  # the swap that this benchmark is about
    sys.exit(run())

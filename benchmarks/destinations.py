"""`destinations`: submits of 100, each to one of 1, 100 and 10,000 destinations, chosen by Zipf; what each that is idle takes of memory.

The n-th destination gets a share in step with 1/n. All run one function; those that are hit seldom are hit without a
worker, as in life. `memory_per_destination`: how much the supervisor grew while 10,000 were created, by their number.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, daemon, reference_batches
from benchmarks.load import drive
from benchmarks.suite.program import Conditions, Measure, Program
from sandbox.wire import KIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from subprocess import Popen

    from engine.client import Client

COUNTS: Final = (1, 100, 10_000)
EVENTS: Final = 100_000
SIZE: Final = 100
SEED: Final = 7


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second by number of destinations, and KiB."""
    seen = {}
    for count in COUNTS:
        made = conditions.pick(count, min(count, 20))
        submits = conditions.pick(EVENTS, 2_000) // SIZE
        with daemon() as (client, process):
            grown_kib = _create(client, process, made)
            if count == COUNTS[-1]:
                seen["memory_per_destination"] = grown_kib / made
            drawn = random.Random(SEED)
            _rate(client, list(zipf(drawn, made, max(1, submits // 5))))
            seen[f"destinations_{count}"] = _rate(client, list(zipf(drawn, made, submits)))
    return seen


def _create(client: Client, process: Popen[bytes], count: int) -> float:
    """How much the supervisor grew, in KiB."""
    client.functions.save("reference", REFERENCE_SOURCE, deploy=True)
    memory = psutil.Process(process.pid)
    before = memory.memory_info().rss
    for at in range(count):
        client.destinations.create(f"destination-{at}", "reference", settings=REFERENCE_SETTINGS)
    return float(memory.memory_info().rss - before) / KIB


def zipf(drawn: random.Random, count: int, draws: int) -> Iterator[str]:
    """Names of destinations, the first most often."""
    weights = list(itertools.accumulate(1 / place for place in range(1, count + 1)))
    for at in drawn.choices(range(count), cum_weights=weights, k=draws):
        yield f"destination-{at}"


def _rate(client: Client, names: Sequence[str]) -> float:
    """A submit of 100 to each, until each event has had its first outcome; events a second."""
    batches = reference_batches(len(names) * SIZE, SIZE)
    sent = drive(client.path, list(zip(names, batches, strict=True)))
    return len(names) * SIZE / sent.elapsed_s


PROGRAM: Final = Program(
    (
        *(
            Measure(f"destinations_{count}", "events/s", baseline="destinations_1" if count > 1 else "")
            for count in COUNTS
        ),
        Measure("memory_per_destination", "KiB", "less"),
    ),
    run,
    warm_up="a fifth of the submits, to destinations chosen the same way",
    runs_share=0.5,
)

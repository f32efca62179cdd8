"""`churn`: 64 destinations in turn, a submit of 100 each, where only 8 workers may be bound, against room for all of them.

Every submit finds no worker of its own, so that one ends and another is made. And `churn_deploys`: new versions of one destination
deployed, each followed by one event, which the new version runs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import (
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    daemon,
    reference_batches,
    reference_events,
)
from benchmarks.load import drive
from benchmarks.suite.program import Conditions, Measure, Program

if TYPE_CHECKING:
    from engine.client import Client

DESTINATIONS: Final = 64
WORKERS_MAX: Final = 8
SIZE: Final = 100
ROUNDS: Final = 4
DEPLOYS: Final = 50


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second, and deploys a second."""
    seen = {}
    count, rounds, deploys = conditions.pick((DESTINATIONS, ROUNDS, DEPLOYS), (12, 1, 2))
    for name, workers_max in (("churn_room", 4 * DESTINATIONS), ("churn", WORKERS_MAX)):
        with daemon(settings={"workers_max": workers_max}) as (client, _):
            names = [f"destination-{at}" for at in range(count)]
            for destination in names:
                client.deploy(destination, REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
            _rate(client, names)
            seen[name] = _rate(client, names * rounds)
            if name == "churn_room":
                seen["churn_deploys"] = _deploys_per_s(client, deploys)
    return seen


def _rate(client: Client, names: list[str]) -> float:
    batches = reference_batches(len(names) * SIZE, SIZE)
    return len(names) * SIZE / drive(client.path, list(zip(names, batches, strict=True))).elapsed_s


def _deploys_per_s(client: Client, deploys: int) -> float:
    begun = time.perf_counter()
    for at in range(deploys):
        client.deploy("destination-0", f"{REFERENCE_SOURCE}\nversion = {at}\n", settings=REFERENCE_SETTINGS)
        if client.submit("destination-0", reference_events(1), wait=True).delivered != 1:
            raise RuntimeError("an event wasn't delivered by the new version")
    return deploys / (time.perf_counter() - begun)


PROGRAM: Final = Program(
    (
        Measure("churn_room", "events/s"),
        Measure("churn", "events/s", baseline="churn_room"),
        Measure("churn_deploys", "deploys/s"),
    ),
    run,
    warm_up="one submit to each destination",
    runs_share=0.5,
)

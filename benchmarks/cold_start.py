"""`cold_start`: the first event of each of 200 fresh destinations, and of 50 whose workers were suspended.

One after the other, submit to outcome, durable. Between two of them there is a pause of 10 ms, so that a spare is there
again, as for destinations that wake one by one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, daemon, reference_events, wait_until
from benchmarks.suite.latencies import Latencies
from benchmarks.suite.program import Conditions, Program, latency_measures
from engine.events import encode_events

if TYPE_CHECKING:
    from engine.client import Client

DESTINATIONS: Final = 200
SUSPENDED: Final = 50
PAUSE_S: Final = 0.01
SPARES_S: Final = 0.5


def run(conditions: Conditions) -> dict[str, Latencies]:
    """Milliseconds."""
    cold, wake = Latencies(), Latencies()
    with daemon() as (client, _):
        names = deploy(client, conditions.pick(DESTINATIONS, 5))
        time.sleep(SPARES_S)  # spares are forked again after the deploys; a cold start finds them
        for name in names:
            _first(client, name, cold)
    with daemon(settings={"suspend_after_s": 1}) as (client, _):
        names = deploy(client, conditions.pick(SUSPENDED, 5))
        for name in names:
            _first(client, name, Latencies())
        wait_until(lambda: _are_suspended(client, len(names)), "suspension of all workers")
        for name in names:
            _first(client, name, wake)
    return {"cold_start": cold, "wake": wake}


def deploy(client: Client, count: int) -> list[str]:
    """So many destinations with the reference handler; their names."""
    names = [f"destination-{at}" for at in range(count)]
    for name in names:
        client.deploy(name, REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
    return names


def _are_suspended(client: Client, count: int) -> bool:
    return len([row for row in client.workers() if row["state"] == "suspended"]) >= count


def _first(client: Client, name: str, latencies: Latencies) -> None:
    columns = encode_events(reference_events(1))
    begun = time.perf_counter()
    result = client.submit(name, columns, wait=True)
    latencies.record(time.perf_counter() - begun)
    if result.delivered != 1:
        raise RuntimeError(f"the first event of {name} was not delivered: {result.by_code}")
    time.sleep(PAUSE_S)


PROGRAM: Final = Program(
    latency_measures("cold_start", "wake"), run, warm_up="none: the first is what counts", runs_share=0.5
)

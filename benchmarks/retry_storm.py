"""`retry_storm`: submits of 100 while 100,000 deliveries of another destination wait to be tried again, against without.

The other destination always fails, so its circuit breaker is open: what is left of the storm is a probe now and then, and
what the journal holds. Both in one daemon, without first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.harness import (
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    daemon,
    delivered_per_s,
    reference_batches,
    wait_until,
)
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program

if TYPE_CHECKING:
    from engine.client import Client

WAITING: Final = 100_000
EVENTS: Final = 100_000
SIZE: Final = 100
FAILS: Final = """
from engine.function import RetryError

def on_track(event, settings):
    raise RetryError("the other side is down")
"""


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second."""
    waiting, events = conditions.pick((WAITING, EVENTS), (1_000, 1_000))
    with daemon() as (client, _):
        client.deploy("reference", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
        client.deploy("down", FAILS)
        delivered_per_s(client, "reference", reference_batches(events // 5, SIZE))
        calm = delivered_per_s(client, "reference", reference_batches(events, SIZE))
        for result in client.submit_many("down", reference_batches(waiting, SIZE)):
            if result.accepted != SIZE:
                raise RuntimeError("an event wasn't accepted")
        wait_until(lambda: _have_failed(client, waiting), "that the failing events fail", 60)
        stormy = delivered_per_s(client, "reference", reference_batches(events, SIZE))
        if (still := client.show("down")["stored"]) < waiting:
            raise RuntimeError(f"{still} failing events are left, and not {waiting}")
    return {"retry_storm_without": calm, "retry_storm_during": stormy}


def _have_failed(client: Client, waiting: int) -> bool:
    """The circuit breaker opens after a hundred failures: from then on they wait, and one probes now and then."""
    shown = client.show("down")
    return bool(shown["state"] == "open") or sum(shown["by_code"].values()) >= waiting


PROGRAM: Final = Program(
    (
        Measure("retry_storm_without", "events/s", baseline=FLOOR),
        Measure("retry_storm_during", "events/s", baseline="retry_storm_without"),
    ),
    run,
    warm_up="a fifth of the events",
    runs_share=0.5,
)

"""`scaling`: events/s at 1, 2, 4 and 8 times the load, and at 1, 2, 4 and 8 times the destinations; in submits of 100, durable.

Load: so many clients, each a process with a connection of its own, send at once to one destination, and each as many events.
Destinations: 16, 32, 64 and 128 in turn, one client, the same events in all. A cost that grew faster than the work would
show as a figure that falls.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, daemon, reference_batches
from benchmarks.load import drive
from benchmarks.suite.program import Conditions, Measure, Program

if TYPE_CHECKING:
    from engine.client import Client

TIMES: Final = (1, 2, 4, 8)
EVENTS_A_CLIENT: Final = 20_000
DESTINATIONS: Final = 16
EVENTS: Final = 64_000
SIZE: Final = 100


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second."""
    seen = {}
    a_client, destinations, events = conditions.pick((EVENTS_A_CLIENT, DESTINATIONS, EVENTS), (200, 2, 3_200))
    with daemon() as (client, _):
        client.deploy("destination-0", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
        _turns(client, 1, a_client)
        for times in TIMES:
            seen[f"scaling_load_{times}"] = _at_once(client, times, a_client)
    deployed = 0
    with daemon() as (client, _):
        for times in TIMES:
            while deployed < destinations * times:
                client.deploy(f"destination-{deployed}", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
                deployed += 1
            _turns(client, destinations * times, destinations * times * SIZE)
            seen[f"scaling_destinations_{times}"] = _turns(client, destinations * times, events)
    return seen


def _turns(client: Client, destinations: int, events: int) -> float:
    names = itertools.cycle(f"destination-{at}" for at in range(destinations))
    submits = list(zip(names, reference_batches(events, SIZE), strict=False))
    return events / drive(client.path, submits).elapsed_s


def _at_once(client: Client, clients: int, events: int) -> float:
    """They make their events, say that they are ready, and begin together."""
    command = [sys.executable, "-m", "benchmarks.scaling", client.path, str(events)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(clients)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a client did not start")
        begun = time.perf_counter()
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        if any(process.wait(120) for process in running):
            raise RuntimeError("a client failed")
        return clients * events / (time.perf_counter() - begun)
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _client(path: str, events: int) -> None:
    submits = [("destination-0", batch) for batch in reference_batches(events, SIZE)]
    print("ready", flush=True)
    sys.stdin.readline()
    drive(path, submits)


PROGRAM: Final = Program(
    tuple(
        Measure(f"{what}_{times}", "events/s", baseline=f"{what}_1" if times > 1 else "")
        for what in ("scaling_load", "scaling_destinations")
        for times in TIMES
    ),
    run,
    warm_up="one client's events, or one submit to each destination",
    runs_share=0.5,
)


if __name__ == "__main__":
    _client(sys.argv[1], int(sys.argv[2]))

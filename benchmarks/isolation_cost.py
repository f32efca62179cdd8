"""`isolation_cost`: what each layer of the jail costs, all of it, the filter on a call; and throughput with and without.

`zygote_…`, `worker_…`: microseconds of each step of the jail, once in a zygote, and in each worker (median of 200); `worker_jail` is a
worker's steps together, `worker_fork` the fork before them. `filter_a_call`, `filter_a_checked_call`: nanoseconds that the filter adds to
a call that is always allowed, and to one whose arguments are checked. `jailed_…`: submits of 100 with the jail, against a daemon
whose zygote has an empty checklist, seven pairs in turns.

`python -m benchmarks.isolation_cost` is the process that is measured from within: it takes the zygote's steps, each timed, then forks
workers that take theirs. Without the jail, for the throughput, see `unjailed.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import (
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    daemon,
    delivered_per_s,
    in_turns,
    reference_batches,
)
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program
from sandbox import jail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.client import Client

WORKERS: Final = 200
CALLS: Final = 100_000
PAIRS: Final = 7
EVENTS_A_BURST: Final = 50_000


def run(conditions: Conditions) -> dict[str, float]:
    """Us a layer and for all, ns a call, events a second with the jail, and the share of what there is without."""
    workers = conditions.pick(WORKERS, 5)
    answer = subprocess.run(
        [sys.executable, "-I", "-m", "benchmarks.isolation_cost", str(workers)],
        check=True,
        capture_output=True,
        text=True,
    )
    layers: dict[str, float] = json.loads(answer.stdout)
    return layers | _throughput(*conditions.pick((PAIRS, EVENTS_A_BURST), (1, 1_000)))


def _throughput(pairs: int, events: int) -> dict[str, float]:
    with daemon() as (jailed, _), daemon(module="benchmarks.unjailed") as (free, _):
        for client in (jailed, free):
            client.deploy("reference", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
            _burst(client, events)
        seen = in_turns(pairs, lambda: _burst(jailed, events), lambda: _burst(free, events))
    return {
        "jailed_throughput_100": statistics.median(inside for inside, _ in seen),
        "jailed_share": statistics.median(inside / outside for inside, outside in seen),
    }


def _burst(client: Client, events: int) -> float:
    return delivered_per_s(client, "reference", reference_batches(events, 100))


PROGRAM: Final = Program(
    (
        *(
            Measure(name, "us", "less")
            for name in (
                *dict.fromkeys(f"zygote_{step.layer}" for step in (*jail.LAUNCHER, *jail.ZYGOTE)),
                *dict.fromkeys(f"worker_{step.layer}" for step in (*jail.WORKER_BEFORE_LOOP, *jail.WORKER)),
                "worker_fork",
                "worker_jail",
            )
        ),
        Measure("filter_a_call", "ns", "less"),
        Measure("filter_a_checked_call", "ns", "less"),
        Measure("jailed_throughput_100", "events/s", baseline=FLOOR),
        Measure("jailed_share", "of without"),
    ),
    run,
    warm_up="one burst of each daemon; each call made before it is timed",
)


# --- In the process that is measured


def _main(workers: int) -> None:
    from sandbox import modules  # noqa: PLC0415  the parent measures from outside

    modules.preload()
    out = os.dup(1)
    once: dict[str, list[float]] = {}

    def timed(steps: Iterable[jail.Step]) -> tuple[jail.Step, ...]:
        def of(step: jail.Step) -> Callable[[jail.Jail], None]:
            def take(room: jail.Jail) -> None:
                begun = time.perf_counter()
                step.take(room)
                once.setdefault(step.layer, []).append((time.perf_counter() - begun) * 1e6)

            return take

        return tuple(jail.Step(step.layer, of(step)) for step in steps)

    jail.LAUNCHER, jail.ZYGOTE = timed(jail.LAUNCHER), timed(jail.ZYGOTE)  # type: ignore[misc,assignment]  # final but here
    jail.WORKER_BEFORE_LOOP = timed(jail.WORKER_BEFORE_LOOP)  # type: ignore[misc,assignment]  # final but here
    jail.WORKER = timed(jail.WORKER)  # type: ignore[misc,assignment]  # final but here
    room = jail.Jail()
    # The launcher hands over by fork: what it timed is in the child's copy.
    jail.enter(os.open(os.devnull, os.O_RDONLY), room)
    figures = {f"zygote_{layer}": sum(values) for layer, values in once.items()}
    figures.update(_workers(workers, room, once))
    os.write(out, json.dumps(figures).encode())
    os._exit(0)


def _workers(count: int, room: jail.Jail, once: dict[str, list[float]]) -> dict[str, float]:
    """Medians over many workers."""
    rows = [row for _ in range(count) if (row := _worker(room, once))]
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _worker(room: jail.Jail, once: dict[str, list[float]]) -> dict[str, float]:
    read_fd, write_fd = os.pipe()
    begun = time.perf_counter()
    child = os.fork()
    if not child:
        once.clear()
        forked = time.perf_counter()
        _calls(read_fd)  # the interpreter adapts the loops first
        before = _calls(read_fd)
        room.keep = (read_fd, write_fd)
        locking = time.perf_counter()
        jail.lock_worker(room, lambda: None)
        locked = time.perf_counter()
        after = _calls(read_fd)
        row = {f"worker_{layer}": sum(values) for layer, values in once.items()}
        row["worker_fork"] = (forked - begun) * 1e6
        row["worker_jail"] = (locked - locking) * 1e6
        row["filter_a_call"] = (after[0] - before[0]) * 1e9
        row["filter_a_checked_call"] = (after[1] - before[1]) * 1e9
        os.write(write_fd, json.dumps(row).encode())
        os._exit(0)
    os.close(write_fd)
    answer = os.read(read_fd, 65536)
    os.close(read_fd)
    os.waitpid(child, 0)
    row_read: dict[str, float] = json.loads(answer)
    return row_read


def _calls(fd: int) -> tuple[float, float]:
    """Seconds a call: one that is always allowed, and one whose arguments are checked."""
    count = CALLS // WORKERS
    begun = time.perf_counter()
    for _ in range(count):
        os.getpid()
    middle = time.perf_counter()
    for _ in range(count):
        os.set_blocking(fd, True)
    return (middle - begun) / count, (time.perf_counter() - middle) / count


if __name__ == "__main__":
    _main(int(sys.argv[1]))

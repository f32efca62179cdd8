"""`isolation_cost`: what each layer of the jail costs, all of it, the filter on a call; and throughput with and without.

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
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, Figure, daemon, figure, reference_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.client import Client

WORKERS: Final = 200
CALLS: Final = 100_000
PAIRS: Final = 7
EVENTS_A_BURST: Final = 50_000


def measure(floor: float | None, runs: int) -> list[Figure]:
    """µs a layer and for all, ns a call, events a second with the jail, and the share of what there is without."""
    seen: dict[str, list[float]] = {}
    for _ in range(runs):
        answer = subprocess.run(
            [sys.executable, "-I", "-m", "benchmarks.isolation_cost"],
            check=True,
            capture_output=True,
            text=True,
        )
        for name, value in json.loads(answer.stdout).items():
            seen.setdefault(name, []).append(value)
    figures = [figure(name, "ns" if "call" in name else "us", values) for name, values in seen.items()]
    return [*figures, *_throughput(floor)]


def _throughput(floor: float | None) -> list[Figure]:
    """Two daemons take turns, burst by burst; the share is the median of the pairs'."""
    with daemon() as (jailed, _), daemon(module="benchmarks.unjailed") as (free, _):
        for client in (jailed, free):
            client.deploy("reference", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
            _burst(client)
        pairs = []
        for at in range(PAIRS):
            order = (jailed, free) if at % 2 else (free, jailed)
            rates = {id(client): _burst(client) for client in order}
            pairs.append((rates[id(jailed)], rates[id(free)]))
    return [
        figure("jailed_throughput_100", "events/s", [with_it for with_it, _ in pairs], floor=floor),
        figure("jailed_share", "of without", [with_it / without for with_it, without in pairs]),
    ]


def _burst(client: Client) -> float:
    batches = reference_batches(EVENTS_A_BURST, 100)  # encoding is the caller's work, and not measured
    begun = time.perf_counter()
    delivered = 0
    for result in client.submit_many("reference", batches, wait=True):
        delivered += result.delivered
    if delivered != EVENTS_A_BURST:
        raise RuntimeError(f"{delivered} of {EVENTS_A_BURST} events were delivered")
    return EVENTS_A_BURST / (time.perf_counter() - begun)


# --- In the process that is measured


def _main() -> None:
    from sandbox import jail, modules  # noqa: PLC0415  the parent measures from outside

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

    jail.LAUNCHER, jail.ZYGOTE = timed(jail.LAUNCHER), timed(jail.ZYGOTE)  # type: ignore[misc,assignment]
    jail.WORKER_BEFORE_LOOP = timed(jail.WORKER_BEFORE_LOOP)  # type: ignore[misc,assignment]
    jail.WORKER = timed(jail.WORKER)  # type: ignore[misc,assignment]
    room = jail.Jail()
    # The launcher hands over by fork: what it timed is in the child's copy.
    jail.enter(os.open(os.devnull, os.O_RDONLY), room)
    figures = {f"zygote_{layer}": sum(values) for layer, values in once.items()}
    figures.update(_workers(jail, room, once))
    os.write(out, json.dumps(figures).encode())
    os._exit(0)


def _workers(jail: Any, room: Any, once: dict[str, list[float]]) -> dict[str, float]:
    """Medians over many workers."""
    rows = [row for _ in range(WORKERS) if (row := _worker(jail, room, once))]
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _worker(jail: Any, room: Any, once: dict[str, list[float]]) -> dict[str, float]:
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
    _main()

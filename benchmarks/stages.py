"""`stages`: where time goes between client and outcome: under load, of a cold start, and of a processor.

`stage_…`: how long after it was due, or after the stage before, a submit's first event reached a stage (`staged.py`), in the load of
`latency` at 50 %, in submits of 10: `read` by the daemon's loop; `wait` until the commit that it is in began; `commit` until that was
durable; `give` until it was handed to the worker; `run` until its outcome was read; `answer` is what is left of the whole until the client
has it, at the median. `cold_…`: the same of the first event of each of 100 fresh destinations, as in `cold_start`; what binding a worker and loading the
module take beyond the commit, beside which they happen, is in `run`.

`cpu_…`: microseconds of processor time an event, as fast as the daemon can in submits of 100: `client`; `loop`, the daemon's event loop; `threads`,
its other threads, of which the journal's has nearly all; `worker`. Two processors give no more than two million of their sum a second.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from benchmarks.cold_start import PAUSE_S, SPARES_S, deploy
from benchmarks.harness import (
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    daemon,
    delivered_per_s,
    reference_batches,
    reference_events,
)
from benchmarks.load import drive
from benchmarks.staged import STAGES, STAGES_FILE
from benchmarks.suite.latencies import Latencies
from benchmarks.suite.program import Conditions, Measure, Program, latency_measures
from engine.events import encode_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.client import Client

NAMES: Final = ("read", "wait", "commit", "give", "run")
SIZE: Final = 10
EVENTS: Final = 60_000
SECONDS: Final = 3.0
NAME: Final = "reference"
DESTINATIONS: Final = 100
PARTS: Final = ("client", "loop", "threads", "worker")
Notes: TypeAlias = dict[str, list[tuple[float, int]]]
"""Stage → a time, and how many events had passed by then."""


def run(conditions: Conditions) -> dict[str, float | Latencies]:
    """Milliseconds, and microseconds."""
    return {**_stages(conditions), **_cold_start(conditions), **_processor_time(conditions)}


def _deploy(client: Client) -> None:
    client.deploy(NAME, REFERENCE_SOURCE, settings=REFERENCE_SETTINGS, limits={"concurrency": 1})


@contextlib.contextmanager
def _staged() -> Iterator[tuple[Client, Callable[[], Notes]]]:
    """A daemon that takes notes, and what reads them when it has ended."""
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder:
        file = Path(folder) / "stages.json"
        os.environ[STAGES_FILE] = str(file)
        written: list[Notes] = []
        with daemon(module="benchmarks.staged") as (client, _):
            yield client, lambda: written[0]
        written.append(json.loads(file.read_text("utf-8")))


def _stages(conditions: Conditions) -> dict[str, float | Latencies]:
    count = conditions.pick(EVENTS, 200)
    with _staged() as (client, read_notes):
        _deploy(client)
        capacity = delivered_per_s(client, NAME, reference_batches(count, SIZE))
        per_s = capacity / 2 / SIZE
        submits = max(20, round(per_s * conditions.pick(SECONDS, 0.1)))
        load = [(NAME, events) for events in reference_batches(submits * SIZE, SIZE)]
        sent = drive(client.path, load, submits_per_s=per_s)
    notes = read_notes()
    waits = {name: Latencies() for name in NAMES}
    for at in range(len(load)):
        reached = sent.begun_s + at / per_s
        for name, stage in zip(NAMES, STAGES, strict=True):
            before, reached = reached, _when(notes[stage], count + at * SIZE + 1)
            waits[name].record(reached - before)
    whole = sent.latencies.percentile_ms(50)
    known = sum(of.percentile_ms(50) for of in waits.values())
    return {
        **{f"stage_{name}": of for name, of in waits.items()},
        "stage_answer": max(0.0, whole - known),
        "stage_all": sent.latencies,
    }


def _cold_start(conditions: Conditions) -> dict[str, float | Latencies]:
    with _staged() as (client, read_notes):
        names = deploy(client, conditions.pick(DESTINATIONS, 3))
        time.sleep(SPARES_S)  # as in `cold_start`
        times = [_first(client, name) for name in names]
    notes = read_notes()
    waits = {name: Latencies() for name in (*NAMES, "answer")}
    for at, (reached, answered) in enumerate(times):
        for name, stage in zip(NAMES, STAGES, strict=True):
            before, reached = reached, _when(notes[stage], at + 1)  # noqa: PLW2901  from stage to stage
            waits[name].record(reached - before)
        waits["answer"].record(answered - reached)
    return {f"cold_{name}": of for name, of in waits.items()}


def _first(client: Client, name: str) -> tuple[float, float]:
    """When it was submitted, and when its outcome was there."""
    columns = encode_events(reference_events(1))
    begun = time.perf_counter()
    client.submit(name, columns, wait=True)
    ended = time.perf_counter()
    time.sleep(PAUSE_S)
    return begun, ended


def _when(notes: list[tuple[float, int]], number: int) -> float:
    """The time at which so many events had passed."""
    return notes[bisect.bisect_left(notes, number, key=lambda note: note[1])][0]


def _processor_time(conditions: Conditions) -> dict[str, float]:
    count = conditions.pick(2 * EVENTS, 400)
    with daemon() as (client, process):
        _deploy(client)
        delivered_per_s(client, NAME, reference_batches(max(count // 5, 100), 100))
        batches = reference_batches(count, 100)
        [worker] = [row["pid"] for row in client.workers() if row["destination"] == NAME]
        before = _spent_us(process.pid, worker)
        delivered_per_s(client, NAME, batches)
        after = _spent_us(process.pid, worker)
    return {f"cpu_{part}": (after[part] - before[part]) / count for part in PARTS}


def _spent_us(daemon_pid: int, worker_pid: int) -> dict[str, float]:
    loop = _thread_us(daemon_pid, daemon_pid)
    return {
        "client": _process_us(os.getpid()),
        "loop": loop,
        "threads": _process_us(daemon_pid) - loop,
        "worker": _process_us(worker_pid),
    }


def _process_us(pid: int) -> float:
    return sum(_thread_us(pid, int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir())


def _thread_us(pid: int, thread: int) -> float:
    """Time on a processor, exact where `stat` counts in ticks of 10 ms."""
    return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text("ascii").split()[0]) / 1000


PROGRAM: Final = Program(
    (
        *latency_measures(*(f"stage_{name}" for name in NAMES)),
        Measure("stage_answer", "ms", "less"),
        *latency_measures("stage_all", *(f"cold_{name}" for name in (*NAMES, "answer"))),
        *(Measure(f"cpu_{part}", "us", "less") for part in PARTS),
    ),
    run,
    warm_up="what measures the capacity; a fifth of the events of the processor time",
)

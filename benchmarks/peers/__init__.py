"""`peers`: the same event and handler through other ways to run Python (and JavaScript) on events, side by side in one run.

Each contestant is a process of its own, in its best documented configuration, with one worker and with as many as it starts by
itself; until the outcome of every event is back with the caller. `ours_…_to_…` is how many times as fast the engine is, with one
worker: in submits of 100 and singly, as the best of `ProcessPoolExecutor.submit`, pebble and monty, and as Celery, each in
whichever of its configurations was faster; `encoded` from events that were encoded before. What is missing is skipped with what would bring it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

from benchmarks.peers.contestants import CONTESTANTS
from benchmarks.suite.program import Conditions, Measure, Program, Skipped

EVENTS: Final = 20_000
CELERY_EVENTS: Final = 2_000
"""It takes a second for a thousand."""
SINGLY: Final = ("executor_submit", "executor_submit_one_worker", "pebble", "pebble_one_worker", "monty")
CELERY: Final = ("celery", "celery_one_worker")
TIMES: Final = {
    "ours_100_to_best": ("ours_100_one_worker", SINGLY),
    "ours_1_to_best": ("ours_1_one_worker", SINGLY),
    "ours_100_to_celery": ("ours_100_one_worker", CELERY),
    "ours_encoded_100_to_best": ("ours_encoded_100_one_worker", SINGLY),
}


def run(conditions: Conditions) -> dict[str, float | Skipped]:
    """Events a second, and how many times as fast."""
    seen: dict[str, float | Skipped] = {}
    for contestant in CONTESTANTS:
        full = CELERY_EVENTS if contestant.module == "celery_redis" else EVENTS
        command = [sys.executable, "-m", "benchmarks.peers.one", contestant.module]
        events = conditions.pick(full, 100)
        answer = subprocess.run([*command, str(events)], capture_output=True, text=True, check=False)
        if answer.returncode:
            raise RuntimeError(f"{contestant.title} failed:\n{answer.stderr[-1500:]}")
        shown = json.loads(answer.stdout.splitlines()[-1])
        if "missing" in shown:
            seen |= dict.fromkeys(contestant.gives, Skipped(shown["missing"]))
        else:
            seen |= shown["values"]
    return seen | {name: times_as_fast(seen, ours, others) for name, (ours, others) in TIMES.items()}


def times_as_fast(seen: dict[str, float | Skipped], ours: str, others: tuple[str, ...]) -> float | Skipped:
    """Pure: `ours` by the fastest of the others; skipped if one of them is, for the best could be the one that is missing."""
    rates = []
    for name in others:
        rate = seen[name]
        if isinstance(rate, Skipped):
            return rate
        rates.append(rate)
    own = seen[ours]
    return own if isinstance(own, Skipped) else own / max(rates)


PROGRAM: Final = Program(
    (
        *(Measure(name, "events/s") for contestant in CONTESTANTS for name in contestant.gives),
        *(Measure(name, "times") for name in TIMES),
    ),
    run,
    warm_up="a fifth of the events of each contestant, with its workers there",
    runs_share=0.6,
)

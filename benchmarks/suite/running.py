"""Runs programs, each run in a process of its own, and makes figures of what they print.

suite ─► python -m benchmarks.suite.one_run floor       if a measure of the program refers to it
      └► python -m benchmarks.suite.one_run PROGRAM     one line of JSON on its standard output
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from benchmarks.suite.figures import Figure, Run, figures_of
from benchmarks.suite.program import FLOOR
from benchmarks.suite.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.suite.program import Conditions

RUN_S_MAX: Final = 900.0
STDERR_SHOWN: Final = 2_000


class RunFailed(Exception):
    """A run ended without a result; the message is what it said."""


def measure(
    name: str,
    runs: int,
    conditions: Conditions,
    *,
    on_run: Callable[[int, int], None] = lambda _at, _of: None,
) -> list[Figure]:
    """The figures of one program; `on_run` is told before each run which one of how many it is. Raises `RunFailed`."""
    chosen = program(name)
    has_floor = name != FLOOR and any(item.baseline == FLOOR for item in chosen.measures)
    made = []
    for at in range(count := chosen.runs(runs)):
        on_run(at, count)
        floor = one(FLOOR, conditions).values[FLOOR] if has_floor else None
        made.append(one(name, conditions, floor=floor))
    return figures_of(name, chosen, made)


def one(name: str, conditions: Conditions, *, floor: float | None = None) -> Run:
    """One run in a fresh process. Raises `RunFailed`."""
    command = [sys.executable, "-m", "benchmarks.suite.one_run", name]
    if conditions.is_smoke:
        command.append("--smoke")
    if conditions.socket:
        command += ["--socket", conditions.socket]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_S_MAX)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{name} took longer than {RUN_S_MAX:g} s") from None
    if answer.returncode:
        raise RunFailed(f"{name} failed:\n{answer.stderr[-STDERR_SHOWN:].strip()}")
    shown = json.loads(answer.stdout.splitlines()[-1])
    return Run(shown["values"], shown["skipped"], shown["histograms"], floor)

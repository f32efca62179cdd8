"""Runs programs, each run in a process of its own, and makes figures of what they print.

suite ─► python -m benchmarks.suite.one_run floor       if a measure of the program refers to it
      └► python -m benchmarks.suite.one_run PROGRAM     one line of JSON on its standard output
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from benchmarks.suite.figures import Figure, Run, figures_of
from benchmarks.suite.program import FLOOR
from benchmarks.suite.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.suite.program import Conditions

RUN_S_MAX: Final = 1_800.0
END_S_MAX: Final = 60.0
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
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            printed, said = process.communicate(timeout=RUN_S_MAX)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise RunFailed(f"{name} took longer than {RUN_S_MAX:g} s") from None
            raise
    if process.returncode:
        raise RunFailed(f"{name} failed:\n{said[-STDERR_SHOWN:].strip()}")
    shown = json.loads(printed.splitlines()[-1])
    return Run(shown["values"], shown["skipped"], shown["histograms"], floor)


def _end(process: subprocess.Popen[str]) -> None:
    """As from a keyboard, so that it stops the daemons that it has started; killed if it doesn't end."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=END_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()

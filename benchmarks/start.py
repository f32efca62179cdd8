"""`start`: how long until a new daemon answers, with an empty journal; and until the command line has answered.

`start_daemon`: from the call of `engine serve` to the first answer to a client; every layer of the jail is tried in between. A
backlog's start is in `backlog`. `start_help`: `engine --help`; `start_command`: `engine list` against a daemon.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Final

from benchmarks.harness import daemon
from benchmarks.suite.program import Conditions, Measure, Program

TIMES: Final = 5


def run(conditions: Conditions) -> dict[str, float]:
    """Seconds for the daemon, milliseconds for commands: the median of five calls."""
    times = conditions.pick(TIMES, 1)
    begun = time.perf_counter()
    with daemon() as (client, _):
        started_s = time.perf_counter() - begun
        return {
            "start_daemon": started_s,
            "start_help": _median_ms(times, "--help", path=client.path),
            "start_command": _median_ms(times, "list", path=client.path),
        }


def _median_ms(times: int, argument: str, *, path: str) -> float:
    command = [sys.executable, "-m", "engine", argument]
    elapsed = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env={"ENGINE_SOCKET": path})
        elapsed.append((time.perf_counter() - begun) * 1000)
    return statistics.median(elapsed[1:])


PROGRAM: Final = Program(
    (
        Measure("start_daemon", "s", "less"),
        Measure("start_help", "ms", "less"),
        Measure("start_command", "ms", "less"),
    ),
    run,
    warm_up="one call of each command; none of the daemon",
)

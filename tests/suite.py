"""`python tests/suite.py [PYTEST'S ARGUMENTS]`: the tests as whoever runs them and, for root, at the same time as `nobody`.

Without arguments those are all tests, and as `nobody` those of what depends on the user (`nobody.BY_USER`). What root's run says is seen as it comes, then what nobody's said. The exit status is the first that isn't 0.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import Final

import nobody

PROCESSES: Final = max(4, os.cpu_count() or 1)
"""A test waits for others for much of its time, so that two cores are busy with four, and two as nobody."""
TIME_S_MAX: Final = 1_800


def run(*arguments: str) -> int:
    """Run pytest, for root twice; its exit status. Raises `subprocess.TimeoutExpired`."""
    # What is compiled once needn't be again, by each of the processes and by each daemon that they start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "pytest"]
    if os.geteuid():
        return subprocess.run([*command, *arguments], timeout=TIME_S_MAX, check=False).returncode
    if not any((nobody.ROOT / "tests").rglob(f"*.{sys.implementation.cache_tag}-pytest-*.pyc")):
        once = [*command, *arguments, "-n", "0", "-q", "--collect-only"]
        subprocess.run(once, stdout=subprocess.DEVNULL, timeout=TIME_S_MAX, check=False)
    again = arguments or tuple(f"tests/{name}" for name in nobody.BY_USER)
    with subprocess.Popen([*command, "-n", str(PROCESSES), *arguments]) as first:
        try:
            with tempfile.TemporaryFile() as said, nobody.running("-n", "2", *again, output=said) as second:
                statuses = first.wait(TIME_S_MAX), second.wait(TIME_S_MAX)
                said.seek(0)
                sys.stdout.write(f"\nThe same as nobody:\n{said.read().decode(errors='replace')}")
        finally:
            nobody.end(first)
    return next(filter(None, statuses), 0)


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))

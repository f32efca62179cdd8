"""A short fault run with a seed of its own; `make faults` is the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(210)
def test_no_acknowledged_event_is_lost_whatever_is_killed_or_full_or_slow() -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("run.py")), "--seconds", "8", "--rate", "600"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]

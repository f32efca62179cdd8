"""Root's tests of the jail and of live workers, again as `nobody`; `make faults` runs more of them so."""

from __future__ import annotations

import os

import nobody
import pytest

FILES = (
    "tests/sandbox/test_jail.py",
    "tests/sandbox/test_forking.py",
    "tests/escapes/test_remains.py",
    "tests/engine/cli/test_doctor.py",
    "tests/system/test_quarantine.py",
    "tests/system/test_idle.py",
)
"""What depends on who the user is: the kernel's part, attacks on it, and workers that are bound, suspended and ended from outside."""


@pytest.mark.skipif(os.geteuid() != 0, reason="this is an ordinary user already")
@pytest.mark.timeout(280)
def test_the_jail_holds_for_nobody_too() -> None:
    answer = nobody.run(*FILES, timeout_s=270)
    assert answer.returncode == 0, answer.stdout[-6000:]

"""Whether a slow worker sleeps or works is seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from engine.workers import blocked


@pytest.mark.parametrize(("body", "is_blocked"), [("time.sleep(60)", True), ("while True: pass", False)])
def test_a_process_that_sleeps_is_blocked_and_one_that_computes_is_not(body: str, is_blocked: bool) -> None:
    source = f"import time; print(flush=True); exec({body!r})"
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before, begun = blocked.busy_s(process.pid), time.monotonic()
        time.sleep(0.3)  # what is measured is this time
        assert blocked.is_blocked(time.monotonic() - begun, before, blocked.busy_s(process.pid)) is is_blocked
        process.kill()


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert blocked.busy_s(2**22 + 1) is None
    assert blocked.is_blocked(1.0, 0.5, None)


def test_what_a_worker_sleeps_for_want_of_work_says_nothing() -> None:
    sleep = blocked.Sleep(os.getpid())
    assert sleep.is_most(100.0, held_since=99.0) is None, "it was never looked at before"
    assert sleep.is_most(200.0, held_since=150.0) is None, "it had nothing to do until 150"
    assert sleep.is_most(300.0, held_since=150.0) is True

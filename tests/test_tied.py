"""What tests start ends with them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = f"""
import signal, sys, threading, time
signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs the tests in the background has it ignored
sys.path.insert(0, {str(Path(__file__).parent)!r})
from tied import spawn
started = []
thread = threading.Thread(target=lambda: started.append(spawn(["sleep", "60"])))
thread.start()
thread.join()
print(started[0].pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_program_ends_with_the_process_that_started_it_and_not_with_the_thread(
    number: signal.Signals,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as starter:
        assert starter.stdout is not None
        program = os.pidfd_open(int(starter.stdout.readline()))
        has_ended = select.poll()
        has_ended.register(program, select.POLLIN)
        assert not has_ended.poll(0)
        starter.send_signal(number)
        assert has_ended.poll(10_000)
        os.close(program)

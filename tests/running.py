"""A real daemon as a process of its own, for tests."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tied import spawn

from engine.client import Client
from engine.errors import EngineError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path


def wait_until(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Poll until `condition` answers something true; fail the test if it doesn't in time."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"nothing happened within {timeout_s} s")
        time.sleep(0.01)
    return answer


def new_id() -> str:
    """A `messageId` that no event had before: an event with a known one is a duplicate, and isn't delivered."""
    return str(uuid.uuid4())


def launchers_of(daemon: Daemon) -> list[psutil.Process]:
    """Of zygotes: each has one child, pid 1 of its workers' namespace."""
    assert daemon.process is not None
    children = psutil.Process(daemon.process.pid).children()
    return [child for child in children if "sandbox.zygote" in child.cmdline()]


class Daemon:
    """`engine serve` as a process that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "engine.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    def start(self, *arguments: str, program: Sequence[str] = ("-m", "engine")) -> None:
        with self.log.open("ab") as log:
            self.process = spawn(
                [
                    sys.executable,
                    *program,
                    "serve",
                    "--data-dir",
                    str(self.folder),
                    "--socket",
                    str(self.socket),
                    *arguments,
                ],
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._answers, 40)
        except BaseException:
            self.kill()
            raise

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the daemon ended: {self.log.read_text()[-2000:]}")
        with contextlib.suppress(EngineError):
            Client(self.socket).close()
            return True
        return False

    def client(self) -> Client:
        return Client(self.socket)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

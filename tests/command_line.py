"""Commands as a user types them, each in a process of its own.

That is forked from one which has imported the command line: a fresh interpreter would spend ten times as long on imports as on the command.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REQUEST_BYTES_MAX = 1 << 17
STANDARD = (
    ("stdin", "r", "surrogateescape"),
    ("stdout", "w", "surrogateescape"),
    ("stderr", "w", "backslashreplace"),
)
"""Streams in the order of their descriptors, as an interpreter without a locale opens them."""


class CommandLine:
    """Owner of the process whose forks are commands. One at a time."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def run(
        self,
        *arguments: str,
        folder: Path,
        environment: Mapping[str, str],
        stdin: bytes = b"",
        timeout_s: float = 50.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run one command in `folder` until it ends. Raises `TimeoutError`; then none can be run any more."""
        request = json.dumps([arguments, str(folder), dict(environment)]).encode()
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in STANDARD]
            files[0].write(stdin)
            for file in files:
                file.seek(0)
            socket.send_fds(self._control, [request], [file.fileno() for file in files])
            self._control.settimeout(timeout_s)
            status = int(self._control.recv(16))
            for file in files:
                file.seek(0)
            return subprocess.CompletedProcess(
                arguments, status, files[1].read().decode(), files[2].read().decode()
            )


# --- In the process that forks


def _serve(control: socket.socket) -> None:
    from engine.cli.main import COMMANDS

    for module in {"engine.client", "engine.workbench", *(module for module, _ in COMMANDS.values())}:
        importlib.import_module(module)
    while True:
        request, fds, _, _ = socket.recv_fds(control, REQUEST_BYTES_MAX, len(STANDARD))
        if not request:
            return
        pid = os.fork()
        if not pid:
            control.close()
            _become(fds, *json.loads(request))
        for fd in fds:
            os.close(fd)
        _, status = os.waitpid(pid, 0)
        control.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(fds: Sequence[int], arguments: list[str], folder: str, environment: dict[str, str]) -> NoReturn:
    from engine.__main__ import main

    for number, (fd, (name, mode, errors)) in enumerate(zip(fds, STANDARD, strict=True)):
        os.dup2(fd, number)
        setattr(sys, name, open(number, mode, encoding="utf-8", errors=errors, closefd=False))  # noqa: SIM115  it lasts as long as the process
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["engine", *arguments]
    try:
        main()
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(
            ended.code if isinstance(ended.code, int) else 1
        )  # what was imported needn't be taken down again
    raise AssertionError("a command ends with a status")


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))

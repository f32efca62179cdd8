"""Run plain sources, each in a fork of this process, bounded in time and memory: the control of an attempt.

A line of standard input is a source and its seconds, as JSON; one of standard output is what its `result` was, or that
it was still running.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time

import sandbox.modules  # what a worker has imported, too

ADDRESS_SPACE_BYTES = 4 * 1024**3
OUTPUT_BYTES_MAX = 1024 * 1024


def run(source: str, time_s: float) -> str:
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read_fd)
            _run_here(source, write_fd)
        finally:
            os._exit(0)
    os.close(write_fd)
    output, deadline = b"", time.monotonic() + time_s
    while True:
        if not select.select([read_fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            output += b" still running"
            break
        data = os.read(read_fd, 65536)
        if not data:
            break
        output += data
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.close(read_fd)
    os.waitpid(pid, 0)
    return output.decode("utf-8", "replace")


def _run_here(source: str, write_fd: int) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    scope: dict[str, object] = {"__name__": "attempt"}
    with contextlib.suppress(BaseException):
        exec(compile(source, "attempt.py", "exec", dont_inherit=True), scope)
    view = memoryview(str(scope.get("result")).encode("utf-8", "replace")[:OUTPUT_BYTES_MAX])
    while view:
        view = view[os.write(write_fd, view) :]


def main() -> None:
    sandbox.modules.preload()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(*json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

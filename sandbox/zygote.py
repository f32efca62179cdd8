"""The process that has imported everything, and forks workers.

    supervisor ──exec──► launcher ──fork──► zygote (pid 1 of its pid namespace) ──fork──► worker …

It holds no secret: it starts with an empty environment and one descriptor, the control socket. Messages on it are
small msgpack arrays (`SOCK_SEQPACKET`, one a datagram): in comes `["fork", id]`; out go
`["hello", policy_key, rows]`, `["spare", id]` with six descriptors, and `["exited", id, "exit" | "signal", number]`. It ends when the socket closes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import mmap
import os
import select
import signal
import socket
import sys
from typing import Any, Final, NoReturn

import msgpack

from sandbox import jail, kernel, modules, probe, wire
from sandbox.compiler import POLICY_KEY
from sandbox.worker.eventloop import WorkerLoop
from sandbox.worker.loop import Worker
from sandbox.worker.pipe import Pipe
from sandbox.worker.rehearsal import prepare
from sandbox.worker.ticker import Ticker

MESSAGE_BYTES_MAX: Final = 4096
PIPES_A_SPARE: Final = 4


class Zygote:
    """Owner of the control socket and of the table of children."""

    def __init__(self, control: socket.socket, room: jail.Jail) -> None:
        self._control = control
        self._room = room
        self._ids: dict[int, int] = {}
        self._trim = _malloc_trim()
        self._ticker = Ticker()
        self._loop = WorkerLoop()

    def serve(self) -> NoReturn:
        """Prove the jail, say hello, then fork on request and report those that ended, until the supervisor is gone."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        # Workers inherit these: to take a signal costs each of them more pages than it is worth.
        self._ticker.install()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        asyncio.set_event_loop(self._loop)
        prepare(self._ticker)
        rows = probe.run(self._room)
        self._send(["hello", POLICY_KEY, rows])
        if any(row.state == "broken" for row in rows):
            sys.exit(1)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake_read, 4096)
                else:
                    self._take()
            self._reap()

    def _send(self, message: list[Any], fds: list[int] | None = None) -> None:
        packed = msgpack.packb(message)
        try:
            socket.send_fds(self._control, [packed], fds or [])
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)

    def _take(self) -> None:
        try:
            packed = self._control.recv(MESSAGE_BYTES_MAX)
        except ConnectionResetError:
            packed = b""
        if not packed:
            os._exit(0)
        verb, worker_id = msgpack.unpackb(packed)
        if verb == "fork":
            self._fork(worker_id)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker_id = self._ids.pop(pid, None)
            if worker_id is None:
                continue
            if os.WIFSIGNALED(status):
                self._send(["exited", worker_id, "signal", os.WTERMSIG(status)])
            else:
                self._send(["exited", worker_id, "exit", os.WEXITSTATUS(status)])

    def _fork(self, worker_id: int) -> None:
        try:
            self._fork_worker(worker_id)
        except OSError as error:
            # Too many processes or files: this spare fails, those that work go on.
            sys.stderr.write(f"a worker can't be forked: {error}\n")
            self._send(["exited", worker_id, "exit", 71])

    def _fork_worker(self, worker_id: int) -> None:
        page_fd = os.memfd_create("page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(page_fd, wire.PAGE_BYTES)
        page = mmap.mmap(page_fd, wire.PAGE_BYTES)
        fcntl.fcntl(page_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        to_worker, from_worker, to_worker_http, from_worker_http = (
            os.pipe2(os.O_CLOEXEC) for _ in range(PIPES_A_SPARE)
        )
        pid = kernel.fork()
        if pid == 0:
            keep = [to_worker[0], from_worker[1], to_worker_http[0], from_worker_http[1]]
            _become_worker(self._room, keep, page, loop=self._loop, ticker=self._ticker, trim=self._trim)
        self._ids[pid] = worker_id
        pidfd = os.pidfd_open(pid)
        theirs = [to_worker[1], from_worker[0], to_worker_http[1], from_worker_http[0]]
        self._send(["spare", worker_id], [pidfd, *theirs, page_fd])
        for fd in (pidfd, page_fd, *to_worker, *from_worker, *to_worker_http, *from_worker_http):
            os.close(fd)
        page.close()


def _become_worker(
    room: jail.Jail, keep: list[int], page: mmap.mmap, *, loop: WorkerLoop, ticker: Ticker, trim: Any
) -> NoReturn:
    """In the child: a loop with descriptors of its own, then the jail, then the worker's loop. Never returns."""
    status = 70
    try:
        signal.set_wakeup_fd(-1)
        modules.reseed()
        room.keep = (*keep, *loop.descriptors())
        # The descriptors of both are made after the others are closed, and kept.
        _, epoll = jail.lock_worker(room, lambda: (loop.renew(), select.epoll()))
        worker = Worker(
            Pipe(keep[0], keep[1]), (keep[2], keep[3]), epoll, memoryview(page), ticker=ticker, trim=trim
        )
        worker.serve(loop)
    finally:
        os._exit(status)


def _malloc_trim() -> Any:
    """The C library's `malloc_trim`, where it has one: gives freed memory back to the system."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    trim.argtypes = [ctypes.c_size_t]
    trim.restype = ctypes.c_int
    return trim


def main() -> NoReturn:
    """`python -I -m sandbox.zygote FD [--degraded] [--cgroup DIRECTORY]… [--library NAME]… [--load-libraries]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fd", type=int)
    parser.add_argument("--degraded", action="store_true")
    parser.add_argument("--cgroup", action="append", default=[])
    parser.add_argument("--library", action="append", default=[], help="allowed")
    parser.add_argument(
        "--load-libraries", action="store_true", help="be the zygote of functions that import them"
    )
    arguments = parser.parse_args()
    control = socket.socket(fileno=arguments.fd)
    control.set_inheritable(False)
    modules.preload(arguments.library, loads_libraries=arguments.load_libraries)
    room = jail.Jail(is_degraded_allowed=arguments.degraded, cgroups=tuple(arguments.cgroup))
    try:
        jail.enter(control.fileno(), room)
    except jail.JailError as error:
        control.send(msgpack.packb(["hello", POLICY_KEY, [*probe.absent(room), probe.not_set_up(error)]]))
        sys.exit(1)
    Zygote(control, room).serve()


if __name__ == "__main__":
    main()

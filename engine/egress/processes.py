"""An egress process and its launcher, as the supervisor holds them: sockets, frames, questions and answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from engine.egress import control
from engine.egress.counting import calls_of
from sandbox.wire import KIB, FrameBuffer, WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.egress.counting import Calls
    from sandbox.wire import Frame

    Answer = Callable[[dict[int, list[Any]]], None]
    """Takes traces: invocation → exchanges, oldest first."""

log = structlog.get_logger()

PULL_S_MAX: Final = 0.1
"""A failure waits so long for its traces, then it goes on without; and further ones don't wait until the process says something again."""
READ_BYTES: Final = 256 * KIB
LAUNCHER_MESSAGE_BYTES: Final = 16


class ProcessEvents(Protocol):
    """Whoever holds the processes."""

    def process_started(self, process: Process, layers: list[list[str]]) -> None:
        """It is jailed and takes channels."""

    def process_died(self, process: Process) -> None:
        """It has ended, and with it its channels."""

    def violated(self, worker_id: int, reason: str) -> None:
        """A worker broke the protocol on its channel."""

    def counted(self, destination: int, calls: Calls) -> None:
        """What it has called since the last time."""


class Launcher:
    """Owner of the process that forks the others. It ends when its socket closes; they end with it."""

    def __init__(self, ours: socket.socket, process: asyncio.subprocess.Process) -> None:
        self._socket = ours
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._stderr = self._loop.create_task(self._log_stderr())
        self._is_gone = False
        self._forked: deque[Process] = deque()
        """Those whose pidfds haven't come yet."""

    @classmethod
    async def start(cls, ca_file: str) -> Launcher:
        """Start it and wait until it can fork. Raises `OSError`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-m",
                "engine.egress",
                str(theirs.fileno()),
                *([ca_file] if ca_file else []),
                env={
                    "UV_THREADPOOL_SIZE": "64"
                },  # names are resolved in these threads, all destinations' together
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                cwd="/",
            )
        launcher = cls(ours, process)
        try:
            is_ready = await launcher._loop.sock_recv(ours, LAUNCHER_MESSAGE_BYTES)
            if not is_ready:
                await launcher._stderr  # what it printed says why
        except BaseException:
            await launcher.stop()
            raise
        if not is_ready:
            await launcher.stop()
            raise OSError("it ended while it started")
        launcher._loop.add_reader(ours, launcher._readable)
        return launcher

    @property
    def is_gone(self) -> bool:
        """It has ended."""
        return self._is_gone or self._process.returncode is not None

    def fork(self, process: Process) -> socket.socket:
        """Have it fork a process; the control socket to it. Its pidfd follows. Raises `OSError`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            socket.send_fds(self._socket, [b"fork"], [theirs.fileno()])
        ours.setblocking(False)
        self._forked.append(process)
        return ours

    def _readable(self) -> None:
        """It has forked: in the order in which it was asked to."""
        try:
            message, fds, _, _ = socket.recv_fds(self._socket, LAUNCHER_MESSAGE_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        if not message:
            self._is_gone = True
            self._loop.remove_reader(self._socket)
        elif self._forked:
            process = self._forked.popleft()
            if fds:
                process.take_handle(fds[0])

    async def stop(self) -> None:
        """End it, and all its processes."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        self._stderr.cancel()

    async def _log_stderr(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):
            while line := await self._process.stderr.readline():
                log.warning("egress_stderr", text=line.decode("utf-8", "replace").rstrip()[:500])


class Process:
    """Owner of the control socket of one egress process, and of what is asked of it."""

    def __init__(
        self, slot: int, launcher: Launcher, loop: asyncio.AbstractEventLoop, events: ProcessEvents
    ) -> None:
        self.slot = slot
        self.started_at = self.heard_at = loop.time()
        self.started: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._events = events
        self._socket: socket.socket | None = launcher.fork(self)
        self._pidfd = -1
        self._frames = FrameBuffer(control.FROM_EGRESS_BYTES_MAX)
        self._unsent: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._pulls: dict[int, tuple[Callable[[dict[int, list[Any]]], None], asyncio.TimerHandle]] = {}
        self._last_pull = 0
        self._is_late = False
        """A question was left unanswered, and nothing was heard since."""
        loop.add_reader(self._socket, self._readable)

    @property
    def is_started(self) -> bool:
        """It takes channels."""
        return self.started.done() and not self.started.cancelled() and self._socket is not None

    @property
    def is_forked(self) -> bool:
        """The launcher has done its part."""
        return self._pidfd >= 0

    def send(self, frame: Frame, fds: tuple[int, ...] = ()) -> None:
        """Queue a frame; descriptors go with its first byte, and are closed here."""
        self._unsent.append((memoryview(frame.pack()), fds))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        if self._socket is None:
            return
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                sent = socket.send_fds(self._socket, [data], list(fds)) if fds else self._socket.send(data)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                return  # its end is read
            _close(fds)
            if sent < len(data):
                self._unsent[0] = data[sent:], ()
            else:
                self._unsent.popleft()
        self._loop.remove_writer(self._socket)

    def pull(
        self, worker_id: int, invocations: Sequence[int], then: Callable[[dict[int, list[Any]]], None]
    ) -> None:
        """Ask for traces; `then` is called with them, or soon with none: a process that doesn't answer delays nobody for long."""
        if self._is_late:
            self._loop.call_soon(then, {})
            return
        self._last_pull += 1
        number = self._last_pull
        timer = self._loop.call_later(PULL_S_MAX, self._too_late, number)
        self._pulls[number] = then, timer
        self.send(control.Pull(number, worker_id, list(invocations)[: control.ITEMS_MAX]))

    def _too_late(self, number: int) -> None:
        self._is_late = True
        self._pulled(number, [])

    def _pulled(self, number: int, rows: list[Any]) -> None:
        entry = self._pulls.pop(number, None)
        if entry is None:
            return
        then, timer = entry
        timer.cancel()
        traces: dict[int, list[Any]] = {}
        for row in rows:
            if type(row) is list and len(row) == 2 and type(row[0]) is int and type(row[1]) is dict:
                traces.setdefault(row[0], []).append(row[1])
        then(traces)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.heard_at, self._is_late = self._loop.time(), False
        try:
            for body in self._frames.feed(data):
                self._take(control.decode_from_egress(body))
        except WireError as error:
            log.error("egress_broke_protocol", error=str(error))  # noqa: TRY400  the text is the reason
            data = b""
        if not data:
            self.close()
            if not self.started.done():
                self.started.set_exception(OSError("it ended while it started"))
            self._events.process_died(self)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, control.Started) and not self.started.done():
            self.started.set_result(None)
            self._events.process_started(self, [[str(cell) for cell in row] for row in frame.layers])
        elif isinstance(frame, control.Pulled):
            self._pulled(frame.id, frame.traces)
        elif isinstance(frame, control.Broken):
            self._events.violated(frame.channel, frame.reason)
        elif isinstance(frame, control.Counted):
            for row in frame.rows:
                self._events.counted(*_counted(row))
        elif not isinstance(frame, control.Alive):
            raise WireError(f"{type(frame).__name__} out of turn")

    def take_handle(self, pidfd: int) -> None:
        """What it can be ended by, whatever state it is in."""
        self._pidfd = pidfd
        if self._socket is None:
            self._end()

    def _end(self) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = -1

    def close(self) -> None:
        """End it."""
        if self._socket is None:
            return
        self._end()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._socket = None
        for _, fds in self._unsent:
            _close(fds)
        self._unsent.clear()
        for number in list(self._pulls):
            self._pulled(number, [])


def _counted(row: Any) -> tuple[int, Calls]:
    if type(row) is not list or not row or type(row[0]) is not int:
        raise WireError("a row of counts that names no destination")
    try:
        return row[0], calls_of(row[1:])
    except ValueError as error:
        raise WireError(str(error)) from None


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)

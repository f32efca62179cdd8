"""The zygote as the supervisor sees it: started, asked for spares, listened to, and gone.

It runs as a fresh interpreter with an empty environment and one descriptor. What it says is checked like anything
from outside: it forks processes that run strangers' code.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack
import structlog

from engine.errors import Unavailable
from engine.workers import layers
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workers.layers import Proof

log = structlog.get_logger()

PROGRAM: Final = ("-I", "-m", "sandbox.zygote")
MESSAGE_BYTES_MAX: Final = 64 * wire.KIB
FDS_A_SPARE: Final = 6
HELLO_S_MAX: Final = 20.0


@dataclass(frozen=True, slots=True)
class Program:
    """How a zygote is started: what of the jail may be missing, and what functions may import."""

    is_degraded_allowed: bool = False
    cgroups: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    """Those that the operator allows."""
    has_libraries: bool = False
    """It loads them: its workers are for functions that import them."""

    def arguments(self) -> list[str]:
        """As `sandbox.zygote` takes them."""
        return [
            *(["--degraded"] if self.is_degraded_allowed else []),
            *(f"--cgroup={folder}" for folder in self.cgroups),
            *(f"--library={name}" for name in self.libraries),
            *(["--load-libraries"] if self.has_libraries else []),
        ]


@dataclass(frozen=True, slots=True)
class Hello:
    """What the zygote says of itself, and what it saw of the jail."""

    policy_key: str
    proofs: list[Proof]


@dataclass(slots=True, eq=False)
class SpareFds:
    """What the supervisor holds of a worker."""

    id: int
    pid: int
    """In the supervisor's pid namespace."""
    pidfd: int
    write_fd: int
    read_fd: int
    egress_write_fd: int
    egress_read_fd: int
    page: mmap.mmap
    """Read-only here; its size is sealed."""

    def give_http(self) -> tuple[int, int]:
        """The ends that lead to the egress, (to write, to read): from now on the caller's to close."""
        given = self.egress_write_fd, self.egress_read_fd
        self.egress_write_fd = self.egress_read_fd = -1
        return given

    def close(self) -> None:
        """Close everything, once."""
        for fd in (self.pidfd, self.write_fd, self.read_fd, self.egress_write_fd, self.egress_read_fd):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.page.close()


class Zygote:
    """Owner of the process and its control socket."""

    def __init__(
        self,
        *,
        on_spare: Callable[[SpareFds], None],
        on_exited: Callable[[int, str, int], None],
        on_death: Callable[[], None],
    ) -> None:
        self._on_spare = on_spare
        self._on_exited = on_exited
        self._on_death = on_death
        self._socket: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._hello: asyncio.Future[Hello] | None = None
        self._stderr_task: asyncio.Task[None] | None = None
        self._unsent: list[bytes] = []

    async def start(self, program: Program) -> Hello:
        """Start it and wait until it can fork, or says why it can't: see `layers.require`. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket = ours
        self._hello = loop.create_future()
        arguments = [*PROGRAM, str(theirs.fileno()), *program.arguments()]
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                env={},
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                cwd="/",
            )
        self._stderr_task = loop.create_task(self._log_stderr())
        loop.add_reader(ours, self._readable)
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                return await self._hello
        except TimeoutError:
            self._end()
            raise Unavailable(
                "the zygote didn't start in time", remedy="see the log for what it printed"
            ) from None

    def request_fork(self, worker_id: int) -> None:
        """Ask for a spare; `on_spare` follows."""
        self._unsent.append(msgpack.packb(["fork", worker_id]))
        self._flush()

    def _flush(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        while self._unsent:
            try:
                self._socket.send(self._unsent[0])
            except BlockingIOError:
                loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                return
            del self._unsent[0]
        loop.remove_writer(self._socket)

    def _readable(self) -> None:
        assert self._socket is not None
        for _ in range(64):
            try:
                packed, fds, _flags, _ = socket.recv_fds(self._socket, MESSAGE_BYTES_MAX, FDS_A_SPARE)
            except BlockingIOError:
                return
            except OSError:
                packed, fds = b"", []
            if not packed:
                self._end()
                return
            try:
                self._take(wire.unpack_limited(packed, items_max=256, map_max=0), fds)
            except (wire.WireError, ValueError, TypeError, IndexError, OSError) as error:
                log.error("zygote_broke_protocol", error=str(error))  # noqa: TRY400  the text is the reason
                for fd in fds:
                    with contextlib.suppress(OSError):
                        os.close(fd)
                self._end()
                return

    def _take(self, message: list[Any], fds: list[int]) -> None:
        verb, *rest = message
        if verb == "spare" and len(fds) == FDS_A_SPARE:
            self._on_spare(_spare(int(rest[0]), fds))
        elif verb == "exited":
            self._on_exited(int(rest[0]), str(rest[1]), int(rest[2]))
        elif verb == "hello" and self._hello is not None and not self._hello.done():
            self._hello.set_result(Hello(str(rest[0]), layers.read(rest[1])))
        else:
            raise ValueError(f"the zygote said {verb!r} out of turn")

    def _end(self) -> None:
        """The socket is gone: so is the zygote, and with it every worker."""
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        self._socket.close()
        self._socket = None
        self._kill()
        if self._hello is not None and not self._hello.done():
            self._hello.set_exception(
                Unavailable("the zygote ended while it started", remedy="see the log for what it printed")
            )
            return
        self._on_death()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End it, and all its workers."""
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        self._kill()
        if self._process is not None:
            await self._process.wait()
        if self._stderr_task is not None:
            self._stderr_task.cancel()

    async def _log_stderr(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):
            while line := await self._process.stderr.readline():
                log.warning("zygote_stderr", text=line.decode("utf-8", "replace").rstrip()[:500])


def _spare(worker_id: int, fds: list[int]) -> SpareFds:
    pidfd, write_fd, read_fd, egress_write_fd, egress_read_fd, page_fd = fds
    for fd in fds:
        os.set_inheritable(fd, False)
    for fd in (write_fd, read_fd, egress_write_fd, egress_read_fd):
        os.set_blocking(fd, False)
    page = mmap.mmap(page_fd, wire.PAGE_BYTES, prot=mmap.PROT_READ)
    os.close(page_fd)
    return SpareFds(
        worker_id, _pid_of(pidfd), pidfd, write_fd, read_fd, egress_write_fd, egress_read_fd, page
    )


def _pid_of(pidfd: int) -> int:
    """The process's number in our pid namespace, -1 if it is gone: the kernel says so of a pidfd."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text("ascii").splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    return -1

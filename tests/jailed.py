"""Run Python under the full kernel jail with the language layer gone: plain compile and exec in a forked, jailed worker.

    with jailed.Room() as room:            # about 0.5 s; or take the `room` fixture, which is shared by all tests
        ending = room.run("import os; print(os.getpid()); result = os.listdir('/')")

    ending.printed     what the source printed, also if it died later
    ending.returned    repr of the global `result`, if the source ended and set one
    ending.error       "PermissionError: [Errno 1] …" if it raised
    ending.death       "exit 0", or "signal SIGSYS" and the like, or "deadline" if the harness had to kill it
    ending.elapsed_s   from start to death

The zygote, the pipes, the fork and the jail are the product's own; only what the worker does when it is ready differs:
it reads a source instead of frames. Everything is bounded: the source's time (`timeout_s`), its memory (`memory_mib`), what it may print (1 MiB, then it is killed). `unjailed(source)` runs the same source in the
same manner in an ordinary process of this user, as the control that shows that an attempt does succeed without the jail.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgpack

from engine.workers.zygote import FDS_A_SPARE, SpareFds, _spare
from sandbox import wire

OUTPUT_BYTES_MAX = 1024 * 1024
READY = b"\x01"
HEAD = struct.Struct(">QI")
"""Bytes of address space to lower itself to, bytes of the source."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a source. See the module's docstring."""

    printed: str
    returned: str | None
    error: str | None
    death: str
    elapsed_s: float


class Room:
    """Owner of a zygote whose workers run plain sources."""

    def __init__(self, *arguments: str, change: str = "") -> None:
        """`arguments` are the zygote's; `change` is run in it first, to make it a host or a checklist of another kind."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._control.settimeout(20)
        self._lock = threading.Lock()
        self._ids = 0
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", __file__, str(theirs.fileno()), *arguments],
                env={"CHANGE": change},
                cwd="/",
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        try:
            self.hello = self._receive()[0]
        except BaseException:
            self.close()
            raise
        if self.hello[0] != "hello":
            self.close()
            raise RuntimeError(f"the zygote said {self.hello}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait(10)

    def _receive(self) -> tuple[list[Any], list[int]]:
        packed, fds, _, _ = socket.recv_fds(self._control, 1 << 16, FDS_A_SPARE)
        if not packed:
            raise RuntimeError("the zygote is gone")
        return msgpack.unpackb(packed), fds

    def spare(self) -> SpareFds:
        """A jailed worker that waits for its source. The caller closes it."""
        self._ids += 1
        self._control.send(msgpack.packb(["fork", self._ids]))
        message, fds = self._receive()
        if message[0] != "spare":
            raise RuntimeError(f"no worker could be forked: {message}")
        spare = _spare(self._ids, fds)
        poll = select.poll()
        poll.register(spare.read_fd, select.POLLIN)
        if not poll.poll(20_000) or os.read(spare.read_fd, 1) != READY:
            raise RuntimeError("the worker isn't ready")
        return spare

    def end(self, spare: SpareFds) -> None:
        """Kill a worker that `spare` gave out, and close what is held of it."""
        _kill(spare)
        self._exited(spare.id)
        spare.close()

    def run(self, source: str, *, timeout_s: float = 5.0, memory_mib: int = 128) -> Ending:
        """Run the source in a fresh worker until it ends, or for `timeout_s`."""
        with self._lock:
            spare = self.spare()
            begun = time.monotonic()
            try:
                size = int(Path(f"/proc/{spare.pid}/statm").read_text("ascii").split()[0]) * PAGE_BYTES
                text = source.encode("utf-8", "surrogatepass")
                head = HEAD.pack(size + memory_mib * wire.MIB, len(text))
                output, is_late = _converse(spare.read_fd, spare.write_fd, head + text, begun + timeout_s)
                _kill(spare)
                _, kind, number = self._exited(spare.id)
            finally:
                spare.close()
            death = (
                "deadline"
                if is_late
                else f"{kind} {signal.Signals(number).name if kind == 'signal' else number}"
            )
            return _ending(output, death, time.monotonic() - begun)

    def _exited(self, worker_id: int) -> tuple[str, str, int]:
        while True:
            message, _ = self._receive()
            if message[0] == "exited" and message[1] == worker_id:
                return "exited", message[2], message[3]


def _kill(spare: SpareFds) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(spare.pidfd, signal.SIGKILL)


def _converse(read_fd: int, write_fd: int, unsent: bytes, deadline: float) -> tuple[bytes, bool]:
    """Hand over the source, then read until the worker closes its pipe; also whether it had to be cut short."""
    output = bytearray()
    poll = select.poll()
    poll.register(read_fd, select.POLLIN)
    poll.register(write_fd, select.POLLOUT)
    while True:
        left_ms = int((deadline - time.monotonic()) * 1000)
        if left_ms <= 0 or len(output) > OUTPUT_BYTES_MAX:
            return bytes(output), True
        for fd, _ in poll.poll(left_ms):
            if fd == write_fd:
                with contextlib.suppress(BrokenPipeError):
                    unsent = unsent[os.write(fd, unsent) :]
                    if unsent:
                        continue
                poll.unregister(fd)
            elif data := os.read(fd, 65536):
                output += data
            else:
                return bytes(output), False


def _ending(output: bytes, death: str, elapsed_s: float) -> Ending:
    printed, returned, error = "", None, None
    unpacker = msgpack.Unpacker(max_buffer_size=len(output) + 1, unicode_errors="replace")
    unpacker.feed(output)
    with contextlib.suppress(msgpack.exceptions.UnpackException, ValueError, TypeError):
        for verb, text in unpacker:
            if verb == "printed":
                printed += text
            elif verb == "returned":
                returned = text
            else:
                error = text
    return Ending(printed, returned, error, death, elapsed_s)


def unjailed(source: str, *, timeout_s: float = 5.0, memory_mib: int = 1024) -> Ending:
    """The same source in an ordinary process of this user: no jail, no language layer. Bounded in the same way."""
    begun = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-I", __file__, "unjailed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    text = source.encode("utf-8", "surrogatepass")
    head = HEAD.pack(memory_mib * wire.MIB, len(text))
    output, is_late = _converse(child.stdout.fileno(), child.stdin.fileno(), head + text, begun + timeout_s)
    if is_late:
        os.killpg(child.pid, signal.SIGKILL)
    status = child.wait(10)
    child.stdout.close()
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    death = f"exit {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
    return _ending(output, "deadline" if is_late else death, time.monotonic() - begun)


# --- In the jail


class _Output:
    """Standard output of the source: each write is one message, sent at once."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, text: str) -> int:
        _tell(self._fd, "printed", text)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def _tell(fd: int, verb: str, text: str) -> None:
    view = memoryview(msgpack.packb([verb, text[:OUTPUT_BYTES_MAX]], unicode_errors="surrogatepass"))
    while view:
        view = view[os.write(fd, view) :]


def _execute(read_fd: int, write_fd: int) -> None:
    data = b""
    while len(data) < HEAD.size or len(data) < HEAD.size + HEAD.unpack_from(data)[1]:
        data += os.read(read_fd, 1 << 20)
    address_space_bytes = HEAD.unpack_from(data)[0]
    if address_space_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
    sys.stdout = sys.stderr = _Output(write_fd)  # type: ignore[assignment]
    scope: dict[str, Any] = {"__name__": "attempt", "__builtins__": __builtins__}
    try:
        exec(
            compile(
                data[HEAD.size :].decode("utf-8", "surrogatepass"), "attempt.py", "exec", dont_inherit=True
            ),
            scope,
        )
        if "result" in scope:
            _tell(write_fd, "returned", repr(scope["result"]))
    except BaseException as error:  # noqa: BLE001  an attempt may raise anything
        _tell(write_fd, "raised", f"{type(error).__name__}: {error}")


class _PlainWorker:
    """Stands where `sandbox.worker.loop.Worker` stands, in the product's own zygote."""

    def __init__(self, pipe: Any, *_: object, **__: object) -> None:
        self._fds = pipe.read_fd, pipe._write_fd

    def serve(self, *_: object) -> None:
        os.write(self._fds[1], READY)
        _execute(*self._fds)
        os._exit(0)


def _main() -> None:
    if sys.argv[1] == "unjailed":
        _execute(0, 1)
        os._exit(0)
    from sandbox import zygote

    exec(os.environ.get("CHANGE", ""), {})
    zygote.Worker = _PlainWorker  # type: ignore[assignment,misc]
    zygote.main()


if __name__ == "__main__":
    _main()

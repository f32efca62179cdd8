"""The Unix socket: connections, frames, flow.

A connection's replies of one turn of the loop go out in one write. What isn't read stays in the kernel: while the
journal is behind, or the client doesn't take its replies, its connection isn't read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import structlog

from engine.api import frames
from engine.api.auth import check_peer, peer_of
from engine.api.operations import CALLS
from engine.api.table import parse
from engine.dispatch.tally import Tally
from engine.errors import ConfigurationError, EngineError, InvalidEvent, Unavailable, UsageError
from engine.registry.audit import CALLER, DAEMON, Caller
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from typing import Any

    from engine.api.requests import Request
    from engine.dispatch.core import Core

log = structlog.get_logger()

PATH_BYTES_MAX: Final = 107
"""What the kernel takes (`sun_path`), its final zero left out."""
CONNECTIONS_MAX: Final = 1_024
REQUESTS_MAX: Final = 64
"""Calls and streams at once on a connection; submits aren't counted, the journal bounds them."""
CREDIT_MAX: Final = 10_000
"""Items of a stream that a client can ask for ahead."""
NAME_CHARS_MAX: Final = 120
PROBE_TIMEOUT_S: Final = 1.0


@dataclass(slots=True, eq=False)
class Allowance:
    """Items of a stream that its client can still take."""

    _count: int = 0
    _raised: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, count: int) -> None:
        """The client can take more; beyond `CREDIT_MAX` it is not believed."""
        self._count = min(self._count + count, CREDIT_MAX)
        self._raised.set()

    async def take(self) -> None:
        """One item; waits for the client."""
        while not self._count:
            self._raised.clear()
            await self._raised.wait()
        self._count -= 1


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: UnixServer) -> None:
        self._server = server
        self._core = server.core
        self._transport: asyncio.Transport | None = None
        self._buffer = wire.FrameBuffer(wire.CLIENT_FRAME_BYTES_MAX)
        self._is_welcome = False
        self._caller = DAEMON
        self._replies: list[bytes] = []
        self._requests: dict[int, asyncio.Task[None]] = {}
        self._allowances: dict[int, Allowance] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._relief: asyncio.Task[None] | None = None

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Check who it is; count it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's isn't a subclass
        self._server.connections.add(self)
        try:
            peer = peer_of(transport.get_extra_info("socket"))
            self._caller = Caller(f"uid {peer.uid}", f"pid {peer.pid} on the socket")
            check_peer(peer)
            if len(self._server.connections) > CONNECTIONS_MAX:
                raise Unavailable(
                    f"{CONNECTIONS_MAX} clients are connected", remedy="close some, or use fewer connections"
                )
        except EngineError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Its streams end with it; what it submitted stays submitted."""
        self._server.connections.discard(self)
        self._transport = None
        for task in self._requests.values():
            task.cancel()
        if self._relief is not None:
            self._relief.cancel()

    def pause_writing(self) -> None:
        """It doesn't take its replies: read nothing more from it."""
        self._writable.clear()
        self._update_reading()

    def resume_writing(self) -> None:
        """It takes them again."""
        self._writable.set()
        self._update_reading()

    def data_received(self, data: bytes) -> None:
        """Whatever it sends: anything but good frames ends the connection, and nothing else."""
        try:
            for body in self._buffer.feed(data):
                frame = frames.decode(body, frames.FROM_CLIENT)
                if isinstance(frame, frames.Submit) and self._is_welcome:
                    self._submit(frame)
                else:
                    self._take(frame)
        except wire.WireError as error:
            self._fail(
                UsageError(
                    f"not this daemon's protocol: {error}", remedy="see engine/README.md for the frames"
                )
            )
        if self._core.congested:
            self._update_reading()

    def _update_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._writable.is_set() or self._core.congested:
            self._transport.pause_reading()
            if self._writable.is_set() and self._relief is None:
                self._relief = asyncio.get_running_loop().create_task(self._wait_for_relief())
        else:
            self._transport.resume_reading()

    async def _wait_for_relief(self) -> None:
        await self._core.relieved()
        self._relief = None
        self._update_reading()

    def _fail(self, error: EngineError) -> None:
        """Say why, and close."""
        log.info("connection_refused", code=error.code, reason=error.message)
        self._flush()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                frames.Error(frames.CONNECTION_ID, error.code, error.message, error.remedy, error.data).pack()
            )
            self._transport.close()

    # --- Replies

    def reply(self, frame: wire.Frame) -> None:
        """Send it with the others of this turn of the loop."""
        if not self._replies:
            asyncio.get_running_loop().call_soon(self._flush)
        self._replies.append(frame.pack())

    def _flush(self) -> None:
        replies, self._replies = self._replies, []
        if replies and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(replies))

    def reply_error(self, request_id: int, error: EngineError) -> None:
        """A request failed."""
        self.reply(frames.Error(request_id, error.code, error.message, error.remedy, error.data))

    # --- Requests

    def _take(self, frame: wire.Frame) -> None:
        if not self._is_welcome:
            if not isinstance(frame, frames.Hello):
                raise wire.WireError("the first frame is Hello")
            if frame.protocol != wire.PROTOCOL_VERSION:
                raise wire.WireError(f"protocol {frame.protocol}; this daemon speaks {wire.PROTOCOL_VERSION}")
            self._is_welcome = True
            self.reply(frames.Welcome(wire.PROTOCOL_VERSION, LIMITS, {"pid": os.getpid()}))
        elif isinstance(frame, frames.Call):
            self._call(frame)
        elif isinstance(frame, frames.Credit):
            if not 0 < frame.count <= CREDIT_MAX:
                raise wire.WireError(f"a credit is 1 to {CREDIT_MAX}")
            if frame.id in self._allowances:
                self._allowances[frame.id].add(frame.count)
        elif isinstance(frame, frames.Cancel):
            task = self._requests.get(frame.id)
            if task is not None:
                task.cancel()
        else:
            raise wire.WireError(f"{type(frame).__name__} out of turn")

    def _submit(self, frame: frames.Submit) -> None:
        request_id, count = frame.id, len(frame.sizes)
        if len(frame.destination) > NAME_CHARS_MAX:
            self.reply_error(
                request_id,
                UsageError(
                    f"a destination's name has at most {NAME_CHARS_MAX} characters",
                    remedy="`engine list` shows those there are",
                ),
            )
            return
        try:
            events = frame.events()
            tally = (
                Tally(count, lambda tally: self._settled(request_id, tally))
                if frame.flags & frames.SUBMIT_WAIT
                else None
            )
            self._core.submit(
                frame.destination,
                events,
                lambda error, duplicates: self._acked(request_id, count, duplicates, error),
                tally,
                is_deduped=not frame.flags & frames.SUBMIT_NO_DEDUPE,
                to_source=bool(frame.flags & frames.SUBMIT_TO_SOURCE),
            )
        except wire.WireError as error:
            self.reply_error(
                request_id, InvalidEvent(str(error), remedy="encode events as engine.client does")
            )
        except EngineError as error:
            self.reply_error(request_id, error)

    def _acked(self, request_id: int, count: int, duplicates: int, error: EngineError | None) -> None:
        if error is None:
            self.reply(frames.Accepted(request_id, count - duplicates, duplicates))
        else:
            self.reply_error(request_id, error)

    def _settled(self, request_id: int, tally: Tally) -> None:
        self.reply(
            frames.Settled(
                request_id,
                tally.delivered,
                tally.discarded,
                tally.retrying,
                tally.dead,
                tally.by_code,
                tally.first_details,
            )
        )

    def _call(self, frame: frames.Call) -> None:
        if frame.id in self._requests:
            raise wire.WireError(f"request {frame.id} is still running")
        if len(self._requests) >= REQUESTS_MAX:
            self.reply_error(
                frame.id, Unavailable(f"{REQUESTS_MAX} requests are running", remedy="wait for one to end")
            )
            return
        try:
            operation, request = parse(frame.operation, frame.arguments)
        except EngineError as error:
            self.reply_error(frame.id, error)
            return
        if operation.is_stream:
            self._allowances[frame.id] = Allowance()
        task = asyncio.get_running_loop().create_task(
            self._answer(frame, request, is_stream=operation.is_stream)
        )
        self._requests[frame.id] = task
        task.add_done_callback(lambda task: self._answered(frame.id, task))

    def _answered(self, request_id: int, task: asyncio.Task[None]) -> None:
        self._requests.pop(request_id, None)
        self._allowances.pop(request_id, None)
        if task.cancelled():
            self.reply(frames.End(request_id))

    async def _answer(self, frame: frames.Call, request: Request, *, is_stream: bool) -> None:
        CALLER.set(self._caller)
        try:
            answer = CALLS[frame.operation](self._core, request)
            if is_stream:
                await self._stream(frame.id, answer)
            else:
                self.reply(frames.Result(frame.id, await answer))
        except EngineError as error:
            self.reply_error(frame.id, error)
        except Exception:
            log.exception("operation_failed")
            self.reply_error(
                frame.id,
                EngineError("the daemon failed at this; its log says why", remedy="report it with that log"),
            )

    async def _stream(self, request_id: int, items: AsyncGenerator[dict[str, Any], None]) -> None:
        allowance = self._allowances[request_id]
        async with contextlib.aclosing(items):
            async for item in items:
                await allowance.take()
                await self._writable.wait()
                self.reply(frames.Item(request_id, item))
        self.reply(frames.End(request_id))

    def close(self) -> None:
        """The daemon stops: send what is ready, and hang up."""
        self._flush()
        if self._transport is not None:
            self._transport.close()


LIMITS: Final = {
    "event_bytes_max": wire.EVENT_BYTES_MAX,
    "submit_events_max": wire.SUBMIT_EVENTS_MAX,
    "frame_bytes_max": wire.CLIENT_FRAME_BYTES_MAX,
    "requests_max": REQUESTS_MAX,
}


def _unusable(path: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the socket {path} can't be made: {error.strerror}", remedy="choose another place with --socket"
    )


class UnixServer:
    """Owner of the listening socket."""

    def __init__(self, core: Core, path: Path, mode: int) -> None:
        self.core = core
        self.connections: set[Connection] = set()
        self._path = path
        self._mode = mode
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises `ConfigurationError` for a path that can't be used, `Unavailable` if somebody answers on it."""
        path = str(self._path)
        if len(os.fsencode(path)) > PATH_BYTES_MAX:
            raise ConfigurationError(
                f"the socket's path {path} is longer than {PATH_BYTES_MAX} bytes",
                remedy="choose a shorter one with --socket",
            )
        try:
            self._remove_stale()
        except OSError as error:
            raise _unusable(path, error) from None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        except OSError as error:
            listener.close()
            raise _unusable(path, error) from None
        finally:
            os.umask(before)
        os.chmod(path, self._mode)  # noqa: PTH101  the path as it was bound
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(self), sock=listener, backlog=256
        )

    def _remove_stale(self) -> None:
        """Remove a socket that nobody answers on."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise ConfigurationError(
                    f"{self._path} exists and is no socket", remedy="choose another place with --socket"
                )
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(PROBE_TIMEOUT_S)
                try:
                    probe.connect(str(self._path))
                except ConnectionRefusedError:
                    self._path.unlink()
                    return
                except TimeoutError:
                    pass  # its queue is full: somebody is there, and busy
            raise Unavailable(
                f"another daemon answers on {self._path}", remedy="stop it, or choose another --socket"
            )

    def stop_listening(self) -> None:
        """Take no new connections."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in list(self.connections):
            connection.close()

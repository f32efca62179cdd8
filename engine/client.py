"""The public Python API: `Client`, over the daemon's Unix socket.

    with Client() as client:
        client.deploy("orders", source)
        result = client.submit("orders", events, wait=True)

Without arguments it uses `ENGINE_SOCKET`, else `engine.sock` in `ENGINE_DATA_DIR`, else in ~/.local/state/engine.
Submits are pipelined: frames are sent while replies are read, so that neither side waits for the other's buffer.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from engine.api import frames
from engine.errors import EngineError, Unavailable, UsageError, from_wire
from engine.events import encode_events
from engine.model import split_chunks
from engine.paths import default_socket
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

WINDOW: Final = 256
"""Submit frames sent and not yet answered."""
CREDIT: Final = 256
READ_BYTES: Final = 256 * 1024
Rows = list[dict[str, Any]]


@dataclass(slots=True)
class SubmitResult:
    """What became of a submit; all but `accepted` and `duplicates` are counted only with `wait=True`."""

    accepted: int = 0
    delivered: int = 0
    discarded: int = 0
    retrying: int = 0
    dead: int = 0
    duplicates: int = 0
    by_code: dict[str, int] = field(default_factory=dict)
    first_errors: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Code → the error of the first event that ended so."""
    elapsed_ms: float = 0.0

    def add(self, other: SubmitResult) -> None:
        """Count another submit's events too."""
        for name in ("accepted", "delivered", "discarded", "retrying", "dead", "duplicates"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for code, count in other.by_code.items():
            self.by_code[code] = self.by_code.get(code, 0) + count
        self.first_errors = {**other.first_errors, **self.first_errors}


class Client:
    """One connection. Not for use by several threads at once."""

    def __init__(self, path: str | Path | None = None, *, connect_timeout_s: float = 5.0) -> None:
        """Connect. Raises `Unavailable`, naming the socket that was tried."""
        self.path = str(path or default_socket(os.environ))
        self._socket = _connect(self.path, connect_timeout_s)
        self._buffer = wire.FrameBuffer(64 * wire.MIB)
        self._inbox: deque[wire.Frame] = deque()
        self._next_id = 1
        self._send(frames.Hello(wire.PROTOCOL_VERSION, None))
        welcome = self._receive()
        if not isinstance(welcome, frames.Welcome):
            raise Unavailable(f"what answers on {self.path} is no engine daemon", remedy="name its socket")
        self.daemon_pid = int(welcome.info.get("pid", 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    # --- Events

    def submit(
        self, name: str, events: Iterable[dict[str, Any]] | wire.Events, *, wait: bool = False
    ) -> SubmitResult:
        """Send events; returns when they are durable, with `wait` when each has had its first outcome.

        Nothing is sent if one is invalid: raises `InvalidEvent` with its index.
        """
        begun = time.monotonic()
        columns = events if isinstance(events, wire.Events) else encode_events(events)
        total = SubmitResult()
        if columns.sizes:
            for result in self.submit_many(name, split_chunks(columns), wait=wait):
                total.add(result)
        total.elapsed_ms = round((time.monotonic() - begun) * 1000, 3)
        return total

    def submit_many(
        self,
        name: str,
        batches: Iterable[Sequence[dict[str, Any]] | wire.Events],
        *,
        wait: bool = False,
        window: int = WINDOW,
    ) -> Iterator[SubmitResult]:
        """Each batch as a submit of its own, pipelined; their results in order. Up to `window` are under way."""
        flags = frames.SUBMIT_WAIT if wait else 0
        under_way: deque[tuple[int, SubmitResult]] = deque()
        by_id: dict[int, SubmitResult] = {}
        finished: set[int] = set()
        unsent = bytearray()
        pending = iter(batches)
        is_open = True
        while is_open or under_way:
            while is_open and len(under_way) < window and len(unsent) < READ_BYTES:
                batch = next(pending, None)
                if batch is None:
                    is_open = False
                    break
                columns = batch if isinstance(batch, wire.Events) else encode_events(batch)
                request_id, self._next_id = self._next_id, self._next_id + 1
                result = by_id[request_id] = SubmitResult()
                under_way.append((request_id, result))
                unsent += frames.Submit(
                    request_id,
                    name,
                    flags,
                    columns.types,
                    columns.message_ids,
                    columns.user_keys,
                    columns.integrations,
                    columns.sizes,
                    columns.bodies,
                ).pack()
            self._exchange(unsent)
            while self._inbox:
                self._note(self._inbox.popleft(), by_id, finished, wait=wait)
            while under_way and under_way[0][0] in finished:
                request_id, result = under_way.popleft()
                finished.discard(request_id)
                del by_id[request_id]
                yield result

    def _note(
        self, frame: wire.Frame, by_id: dict[int, SubmitResult], finished: set[int], *, wait: bool
    ) -> None:
        if isinstance(frame, frames.Accepted):
            by_id[frame.id].accepted = frame.accepted
            by_id[frame.id].duplicates = frame.duplicates
            if not wait:
                finished.add(frame.id)
        elif isinstance(frame, frames.Settled):
            result = by_id[frame.id]
            result.delivered, result.discarded = frame.delivered, frame.discarded
            result.retrying, result.dead = frame.retrying, frame.dead
            result.by_code = frame.by_code
            for code, packed in frame.details.items():
                result.first_errors[code] = wire.Detail.unpack(packed).error or {"code": code}
            finished.add(frame.id)
        else:
            self._raise(frame)

    def _exchange(self, unsent: bytearray) -> None:
        """Send what the socket takes, read what it has; wait for one of the two."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if unsent else 0))
        for _, event in poll.poll():
            if event & select.POLLOUT and unsent:
                with contextlib.suppress(BlockingIOError):
                    del unsent[: self._socket.send(unsent, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)]
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            raise Unavailable(
                f"the daemon on {self.path} hung up; what it had not acknowledged may not be stored",
                remedy="look at its log, and submit again",
            )
        self._inbox.extend(frames.decode(body, frames.FROM_DAEMON) for body in self._buffer.feed(data))

    # --- Operations

    def deploy(
        self,
        name: str,
        code: str,
        *,
        settings: dict[str, Any] | None = None,
        limits: dict[str, int] | None = None,
        filename: str = "function.py",
    ) -> dict[str, Any]:
        """Deploy source code. Raises `FunctionRefused`; what ran before goes on running then."""
        arguments = {"name": name, "source": code, "filename": filename}
        result: dict[str, Any] = self.call(
            "deploy", **arguments, settings=settings or {}, limits=limits or {}
        )
        return result

    def test(
        self,
        code: str,
        events: Sequence[dict[str, Any]],
        *,
        settings: dict[str, Any] | None = None,
        limits: dict[str, int] | None = None,
        batch: bool = False,
        filename: str = "function.py",
    ) -> list[dict[str, Any]]:
        """Run events through code that isn't deployed; what `engine test --json` prints, one map an event."""
        arguments = {"source": code, "events": list(events), "batch": batch, "filename": filename}
        results: list[dict[str, Any]] = self.call(
            "test", **arguments, settings=settings or {}, limits=limits or {}
        )
        return results

    def list(self) -> Rows:
        """A row a destination."""
        rows: Rows = self.call("list")
        return rows

    def show(self, name: str) -> dict[str, Any]:
        """One destination."""
        shown: dict[str, Any] = self.call("show", name=name)
        return shown

    def remove(self, name: str, *, discard: bool = False) -> dict[str, Any]:
        """Forget a destination. Raises `Conflict` while events wait, unless they are to be discarded."""
        removed: dict[str, Any] = self.call("remove", name=name, discard=discard)
        return removed

    def stats(self) -> dict[str, Any]:
        """The daemon as a whole."""
        stats: dict[str, Any] = self.call("stats")
        return stats

    def workers(self) -> Rows:
        """A row a worker."""
        rows: Rows = self.call("workers")
        return rows

    def logs(self, name: str, *, follow: bool = False) -> Iterator[dict[str, Any]]:
        """Recent failures, oldest first; with `follow` every attempt from now on, without end."""
        request_id = self._request("logs", {"name": name, "follow": follow})
        self._send(frames.Credit(request_id, CREDIT))
        taken = 0
        while True:
            frame = self._receive()
            if isinstance(frame, frames.Item):
                yield frame.value
                taken += 1
                if taken % (CREDIT // 2) == 0:
                    self._send(frames.Credit(request_id, CREDIT // 2))
            elif isinstance(frame, frames.End):
                return
            else:
                self._raise(frame)

    def call(self, operation: str, **arguments: Any) -> Any:
        """Any operation of the table. Raises the error that the daemon answered."""
        self._request(operation, arguments)
        frame = self._receive()
        if not isinstance(frame, frames.Result):
            self._raise(frame)
        assert isinstance(frame, frames.Result)
        return frame.value

    def _request(self, operation: str, arguments: dict[str, Any]) -> int:
        request_id, self._next_id = self._next_id, self._next_id + 1
        self._send(frames.Call(request_id, operation, arguments))
        return request_id

    def _send(self, frame: wire.Frame) -> None:
        packed = frame.pack()
        if len(packed) > wire.CLIENT_FRAME_BYTES_MAX:
            raise UsageError(
                f"the request is larger than {wire.CLIENT_FRAME_BYTES_MAX} bytes", remedy="send less at once"
            )
        unsent = bytearray(packed)
        while unsent:
            self._exchange(unsent)

    def _receive(self) -> wire.Frame:
        while not self._inbox:
            self._read()
        return self._inbox.popleft()

    @staticmethod
    def _raise(frame: wire.Frame) -> None:
        if isinstance(frame, frames.Error):
            raise from_wire(frame.code, frame.message, frame.remedy, frame.data)
        raise EngineError(
            f"the daemon sent {type(frame).__name__} out of turn",
            remedy="use client and daemon of one version",
        )


def _connect(path: str, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise Unavailable(
            f"no daemon answers on {path} ({error.strerror or error})",
            remedy="start one with `engine serve`, or name its socket with ENGINE_SOCKET",
        ) from None
    connection.settimeout(None)
    return connection

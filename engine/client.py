"""The public Python API: `Client` and `AsyncClient`, over the daemon's Unix socket.

    with Client() as client:
        client.deploy("orders", source)
        result = client.submit("orders", events, wait=True)

Without arguments they use `ENGINE_SOCKET`, else `engine.sock` in `ENGINE_DATA_DIR`, else in ~/.local/state/engine, and
show the token in `ENGINE_TOKEN`, if there is one.
Submits are pipelined: frames are sent while replies are read, so that neither side waits for the other's buffer.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, Unpack

from engine.api import frames
from engine.errors import EngineError
from engine.events import encode_events, split_chunks
from engine.nouns import Destinations, Functions, Keys, Sources, Tokens, deploy_arguments, given
from engine.paths import default_socket, default_token
from engine.session import (
    CREDIT,
    Session,
    Submission,
    SubmitResult,
    TestResult,
    absent,
    error_of,
    lost,
    pack_call,
    pack_hello,
    value_of,
    with_event,
)
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from engine.async_client import AsyncClient
    from engine.nouns import DeployOptions

__all__ = ["AsyncClient", "Client", "SubmitResult", "TestResult"]

WINDOW: Final = 256
"""Submit frames sent and not yet answered."""
READ_BYTES: Final = 256 * 1024
Rows = list[dict[str, Any]]
Batch: TypeAlias = "Sequence[dict[str, Any]] | wire.Events"


class Client:
    """One connection. Not for use by several threads at once."""

    def __init__(
        self, path: str | Path | None = None, *, token: str | None = None, connect_timeout_s: float = 5.0
    ) -> None:
        """Connect, as whoever the token is of, else as this process's user.

        Raises `Unavailable`, naming the socket that was tried, `Forbidden`, or `Unauthenticated` for a token that nobody knows.
        """
        self.path = str(path or default_socket(os.environ))
        self._session = Session()
        self._unsent = bytearray(pack_hello(default_token(os.environ) if token is None else token))
        self._socket = _connect(self.path, connect_timeout_s)
        self._poll = select.poll()
        self.sources: Sources[dict[str, Any], Rows] = Sources(self.call)
        self.functions: Functions[dict[str, Any], Rows] = Functions(self.call)
        self.destinations: Destinations[dict[str, Any], Rows] = Destinations(self.call)
        self.keys: Keys[dict[str, Any]] = Keys(self.call)
        self.tokens: Tokens[dict[str, Any], Rows] = Tokens(self.call)
        try:
            self.daemon_pid = self._greet(connect_timeout_s)
        except BaseException:
            self.close()
            raise

    def _greet(self, timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        while self._session.welcome is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise absent(self.path, f"silent for {timeout_s:g} s")
            self._exchange(left_s * 1000)
        return int(self._session.welcome.info.get("pid", 0))

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
        self,
        name: str,
        events: Iterable[dict[str, Any]] | wire.Events,
        *,
        wait: bool = False,
        dedupe: bool = True,
        to_source: bool = False,
    ) -> SubmitResult:
        """Send events; returns when they are durable, with `wait` when each has had its first outcome.

        `name` is a destination's; with `to_source` a source's, which feeds all that are connected to it: outcomes are
        counted by destination then. With `dedupe` an event whose `messageId` was accepted there before is counted, and
        not delivered.
        Nothing is sent if one is invalid: raises `InvalidEvent` with its index. If the daemon refuses a later part of
        many events (its disk is full, say), the error's `data["accepted"]` is the number of those it has.
        """
        begun = time.monotonic()
        columns = events if isinstance(events, wire.Events) else encode_events(events)
        total = SubmitResult()
        try:
            for result in self.submit_many(
                name, split_chunks(columns), wait=wait, dedupe=dedupe, to_source=to_source
            ):
                total.add(result)
        except EngineError as error:
            error.data["accepted"] = total.accepted + total.duplicates
            raise
        total.elapsed_ms = round((time.monotonic() - begun) * 1000, 3)
        return total

    def submit_many(
        self,
        name: str,
        batches: Iterable[Batch],
        *,
        wait: bool = False,
        dedupe: bool = True,
        to_source: bool = False,
        window: int = WINDOW,
    ) -> Iterator[SubmitResult]:
        """Each batch as a submit of its own, pipelined; their results in order. Up to `window` are under way.

        A refused batch raises when its turn comes; batches sent after it may have been accepted.
        """
        under_way: deque[tuple[int, Submission]] = deque()
        pending = iter(batches)
        is_open = True
        try:
            while is_open or under_way:
                while is_open and len(under_way) < window and len(self._unsent) < READ_BYTES:
                    batch = next(pending, None)
                    if batch is None:
                        is_open = False
                        break
                    columns = batch if isinstance(batch, wire.Events) else encode_events(batch)
                    submission = Submission(wait, is_done=not columns.sizes)
                    request_id = 0
                    if columns.sizes:
                        request_id, packed = self._session.submit(
                            submission, name, columns, dedupe=dedupe, to_source=to_source
                        )
                        self._unsent += packed
                    under_way.append((request_id, submission))
                if under_way and not under_way[0][1].is_done:
                    self._exchange()
                while under_way and under_way[0][1].is_done:
                    request_id, submission = under_way.popleft()
                    self._session.close(request_id)
                    if submission.error is not None:
                        raise submission.error
                    yield submission.result
        finally:
            for request_id, _ in under_way:
                self._session.close(request_id)

    # --- Operations

    def deploy(self, name: str, code: str, **options: Unpack[DeployOptions]) -> dict[str, Any]:
        """Keep the code as a version of the function `name`, and run it as the destination `name`.

        {name, version, created, handlers, logs, changes}. Raises `FunctionRefused` if it doesn't load, `UsageError` for
        settings that don't fit (`data["missing"]` names those that are required); what ran before goes on running then.
        """
        deployed: dict[str, Any] = self.call("deploy", **deploy_arguments(name, code, options))
        return deployed

    def test(
        self,
        code: str,
        events: Sequence[dict[str, Any]],
        *,
        settings: dict[str, Any] | None = None,
        limits: dict[str, int] | None = None,
        batch: bool = False,
        filename: str = "function.py",
    ) -> list[TestResult]:
        """Run events through code that isn't deployed; a result an event. Raises `FunctionRefused`, `InvalidEvent`."""
        results = self.call(
            "test",
            source=code,
            filename=filename,
            events=list(events),
            settings=settings or {},
            limits=limits or {},
            batch=batch,
        )
        return [TestResult(**result) for result in results]

    def list(self) -> Rows:
        """A row a destination."""
        rows: Rows = self.call("list")
        return rows

    def show(self, name: str) -> dict[str, Any]:
        """One destination. Raises `NotFound`."""
        shown: dict[str, Any] = self.call("show", name=name)
        return shown

    def remove(self, name: str, *, discard: bool = False) -> dict[str, Any]:
        """Forget a destination. Raises `Conflict` while events wait, unless they are to be discarded."""
        removed: dict[str, Any] = self.call("remove", name=name, discard=discard)
        return removed

    def pause(self, name: str) -> dict[str, Any]:
        """Let a destination's events wait, their time for retries too. Raises `NotFound`."""
        paused: dict[str, Any] = self.call("pause", name=name)
        return paused

    def resume(self, name: str) -> dict[str, Any]:
        """End a pause, a quarantine, or what the circuit breaker closed. Raises `NotFound`."""
        resumed: dict[str, Any] = self.call("resume", name=name)
        return resumed

    def usage(self, *, since_ms: int | None = None, until_ms: int | None = None) -> Rows:
        """By day, function and destination, the newest day first: {day, function, destination, invocations, events, busy_us}."""
        rows: Rows = self.call("usage", **given(since_ms=since_ms, until_ms=until_ms))
        return rows

    def stats(self) -> dict[str, Any]:
        """The daemon as a whole."""
        stats: dict[str, Any] = self.call("stats")
        return stats

    def workers(self) -> Rows:
        """A row a worker."""
        rows: Rows = self.call("workers")
        return rows

    def health(self, name: str | None = None) -> Rows:
        """A row a destination with `is_failing` and figures of the last hour; of one, with `windows`. Raises `NotFound`."""
        rows: Rows = self.call("health", name=name)
        return rows

    def logs(
        self, name: str, *, follow: bool = False, since_ms: int = 0, code: str | None = None, limit: int = 100
    ) -> Iterator[dict[str, Any]]:
        """The newest `limit` failures since then that ended with `code`, oldest first.

        With `follow` then every attempt from now on, without end. `since_ms` is milliseconds since the epoch.
        """
        return self.stream("logs", name=name, follow=follow, since_ms=since_ms, code=code, limit=limit)

    def audit(self, *, since_ms: int | None = None, until_ms: int | None = None) -> Iterator[dict[str, Any]]:
        """Who changed what, and whose secrets were opened, the oldest first: {at, who, origin, action, subject, detail}."""
        return self.stream("audit", **given(since_ms=since_ms, until_ms=until_ms))

    def deliveries(self, name: str, **wanted: Any) -> Iterator[dict[str, Any]]:
        """Stored deliveries: those on the shelf, the newest first; or in a `state`, or the one with an `id`.

        `wanted`: state (dead, discarded, waiting, running, shelved), code, since_ms, until_ms (ms since the epoch), id.
        Raises `NotFound`.
        """
        for item in self.stream("deliveries", name=name, **wanted):
            yield with_event(item)

    def replay(self, name: str, **wanted: Any) -> Iterator[dict[str, Any]]:
        """Put what is on the shelf back into the queue, as it is told: {replayed, is_done, dry_run} after each step.

        `wanted`: as of `deliveries`, with a state of the shelf; limit, dry_run. Who stops listening stops it.
        """
        return self.stream("replay", name=name, **wanted)

    def stream(self, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Any operation of the table that answers with items. Raises the error that the daemon answered."""
        inbox: deque[wire.Frame] = deque()
        request_id = self._session.open(inbox.append)
        is_over, taken = False, 0
        try:
            self._send(pack_call(request_id, operation, arguments))
            self._send(frames.Credit(request_id, CREDIT).pack())
            while True:
                frame = self._receive(inbox)
                if not isinstance(frame, frames.Item):
                    is_over = True
                    if not isinstance(frame, frames.End):
                        raise error_of(frame)
                    return
                yield frame.value
                taken += 1
                if taken % (CREDIT // 2) == 0:
                    self._send(frames.Credit(request_id, CREDIT // 2).pack())
        finally:
            self._session.close(request_id)
            if not is_over and self._socket.fileno() != -1:
                self._unsent += frames.Cancel(request_id).pack()
                with contextlib.suppress(EngineError):
                    self._flush()

    def call(self, operation: str, **arguments: Any) -> Any:
        """Any operation of the table. Raises the error that the daemon answered."""
        inbox: deque[wire.Frame] = deque()
        request_id = self._session.open(inbox.append)
        try:
            self._send(pack_call(request_id, operation, arguments))
            return value_of(self._receive(inbox))
        finally:
            self._session.close(request_id)

    # --- The socket

    def _send(self, packed: bytes) -> None:
        self._unsent += packed
        self._flush()

    def _flush(self) -> None:
        while self._unsent:
            self._exchange()

    def _receive(self, inbox: deque[wire.Frame]) -> wire.Frame:
        while not inbox:
            self._exchange()
        return inbox.popleft()

    def _exchange(self, timeout_ms: float | None = None) -> None:
        """Send what the socket takes, read what it has; if it's neither, wait for one of the two."""
        if not (self._write() | self._read()):
            wanted = select.POLLIN | (select.POLLOUT if self._unsent else 0)
            self._poll.register(self._socket, wanted)
            self._poll.poll(timeout_ms)

    def _write(self) -> bool:
        if not self._unsent:
            return False
        try:
            sent = self._socket.send(self._unsent, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except OSError:
            self._unsent.clear()  # the reason, if the daemon gave one, is there to be read
            return False
        del self._unsent[:sent]
        return True

    def _read(self) -> bool:
        try:
            data = self._socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            raise lost(self.path)
        self._session.feed(data)
        return True


def _connect(path: str, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise absent(path, error.strerror or error) from None
    connection.settimeout(None)
    return connection


def __getattr__(name: str) -> Any:
    """`AsyncClient` is imported when it is asked for: asyncio is half of what a command would import."""
    if name == "AsyncClient":
        from engine.async_client import AsyncClient  # noqa: PLC0415  as the docstring says

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

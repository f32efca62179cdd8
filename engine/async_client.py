"""`AsyncClient`: what `Client` does, for programs on asyncio. Requests of many tasks share the connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self, Unpack

from engine.api import frames
from engine.errors import EngineError, Unavailable
from engine.events import encode_events, split_chunks
from engine.nouns import Destinations, Functions, Keys, Sources, Tokens, deploy_arguments, given
from engine.paths import default_socket, default_token
from engine.session import (
    CREDIT,
    NO_ONE_ELSE,
    OnBehalf,
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
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from engine.client import Batch, Rows
    from engine.nouns import DeployOptions

WINDOW = 256
"""Submit frames sent and not yet answered."""
READ_BYTES = 256 * 1024


class AsyncClient:
    """One connection, made on entering: `async with AsyncClient() as client`."""

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        token: str | None = None,
        is_relay: bool = False,
        connect_timeout_s: float = 5.0,
    ) -> None:
        """Nothing is connected yet. As a relay it passes on what others ask: `call_for`, `stream_for`, and events for sources."""
        self.path = str(path or default_socket(os.environ))
        self.daemon_pid = 0
        self._hello = pack_hello(default_token(os.environ) if token is None else token, is_relay=is_relay)
        self._connect_timeout_s = connect_timeout_s
        self._session = Session()
        self.sources: Sources[Awaitable[dict[str, Any]], Awaitable[Rows]] = Sources(self.call)
        self.functions: Functions[Awaitable[dict[str, Any]], Awaitable[Rows]] = Functions(self.call)
        self.destinations: Destinations[Awaitable[dict[str, Any]], Awaitable[Rows]] = Destinations(self.call)
        self.keys: Keys[Awaitable[dict[str, Any]]] = Keys(self.call)
        self.tokens: Tokens[Awaitable[dict[str, Any]], Awaitable[Rows]] = Tokens(self.call)
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lost: EngineError | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises `Unavailable`, naming the socket that was tried, `Forbidden`, or `Unauthenticated`."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                reader, self._writer = await asyncio.open_unix_connection(self.path)
                self._writer.write(self._hello)
                while self._session.welcome is None:
                    await self._read(reader)
        except TimeoutError:
            await self.close()
            raise absent(self.path, f"silent for {self._connect_timeout_s:g} s") from None
        except OSError as error:
            raise absent(self.path, error.strerror or error) from None
        except BaseException:
            await self.close()
            raise
        self.daemon_pid = int(self._session.welcome.info.get("pid", 0))
        self._reading = asyncio.get_running_loop().create_task(self._read_on(reader))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up; requests that still wait are answered with `Unavailable`."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        self._end(lost(self.path))
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def ended(self) -> EngineError:
        """Wait until the connection is lost; why."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        return self._lost or lost(self.path)

    # --- Events

    async def submit(
        self,
        name: str,
        events: Iterable[dict[str, Any]] | wire.Events,
        *,
        wait: bool = False,
        dedupe: bool = True,
        to_source: bool = False,
    ) -> SubmitResult:
        """Send events; returns when they are durable, with `wait` when each has had its first outcome; as `Client.submit`."""
        begun = time.monotonic()
        columns = events if isinstance(events, wire.Events) else encode_events(events)
        total = SubmitResult()
        try:
            async for result in self.submit_many(
                name, split_chunks(columns), wait=wait, dedupe=dedupe, to_source=to_source
            ):
                total.add(result)
        except EngineError as error:
            error.data["accepted"] = total.accepted + total.duplicates
            raise
        total.elapsed_ms = round((time.monotonic() - begun) * 1000, 3)
        return total

    async def submit_whole(
        self,
        name: str,
        columns: wire.Events,
        *,
        wait: bool = False,
        dedupe: bool = True,
        to_source: bool = False,
    ) -> SubmitResult:
        """As `submit`, in one frame: all events are accepted, or none. 1 to 2,500 events, 4 MiB with their headers."""
        sent = await self._send_submit(name, columns, wait=wait, dedupe=dedupe, to_source=to_source)
        try:
            return await self._submitted(deque([sent]))
        finally:
            self._session.close(sent[0])

    async def submit_many(
        self,
        name: str,
        batches: Iterable[Batch],
        *,
        wait: bool = False,
        dedupe: bool = True,
        to_source: bool = False,
        window: int = WINDOW,
    ) -> AsyncIterator[SubmitResult]:
        """Each batch as a submit of its own, pipelined; their results in order. Up to `window` are under way.

        A refused batch raises when its turn comes; batches sent after it may have been accepted.
        """
        under_way: deque[tuple[int, Submission, asyncio.Event]] = deque()
        try:
            for batch in batches:
                columns = batch if isinstance(batch, wire.Events) else encode_events(batch)
                if columns.sizes:
                    under_way.append(
                        await self._send_submit(name, columns, wait=wait, dedupe=dedupe, to_source=to_source)
                    )
                while under_way and (len(under_way) >= window or under_way[0][1].is_done):
                    yield await self._submitted(under_way)
            while under_way:
                yield await self._submitted(under_way)
        finally:
            for request_id, _, _ in under_way:
                self._session.close(request_id)

    async def _send_submit(
        self, name: str, columns: wire.Events, *, wait: bool, dedupe: bool, to_source: bool
    ) -> tuple[int, Submission, asyncio.Event]:
        done = asyncio.Event()
        submission = Submission(wait, done.set)
        request_id, packed = self._session.submit(
            submission, name, columns, dedupe=dedupe, to_source=to_source
        )
        try:
            await self._send(packed)
        except BaseException:
            self._session.close(request_id)
            raise
        return request_id, submission, done

    async def _submitted(self, under_way: deque[tuple[int, Submission, asyncio.Event]]) -> SubmitResult:
        request_id, submission, done = under_way[0]
        await done.wait()
        under_way.popleft()
        self._session.close(request_id)
        if submission.error is not None:
            raise submission.error
        return submission.result

    # --- Operations

    async def deploy(self, name: str, code: str, **options: Unpack[DeployOptions]) -> dict[str, Any]:
        """Keep the code as a version of the function `name`, and run it as the destination `name`; as `Client.deploy`."""
        deployed: dict[str, Any] = await self.call("deploy", **deploy_arguments(name, code, options))
        return deployed

    async def test(
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
        results = await self.call(
            "test",
            source=code,
            filename=filename,
            events=[*events],
            settings=settings or {},
            limits=limits or {},
            batch=batch,
        )
        return [TestResult(**result) for result in results]

    async def list(self) -> Rows:
        """A row a destination."""
        rows: Rows = await self.call("list")
        return rows

    async def show(self, name: str) -> dict[str, Any]:
        """One destination. Raises `NotFound`."""
        shown: dict[str, Any] = await self.call("show", name=name)
        return shown

    async def remove(self, name: str, *, discard: bool = False) -> dict[str, Any]:
        """Forget a destination. Raises `Conflict` while events wait, unless they are to be discarded."""
        removed: dict[str, Any] = await self.call("remove", name=name, discard=discard)
        return removed

    async def pause(self, name: str) -> dict[str, Any]:
        """Let a destination's events wait, their time for retries too. Raises `NotFound`."""
        paused: dict[str, Any] = await self.call("pause", name=name)
        return paused

    async def resume(self, name: str) -> dict[str, Any]:
        """End a pause, a quarantine, or what the circuit breaker closed. Raises `NotFound`."""
        resumed: dict[str, Any] = await self.call("resume", name=name)
        return resumed

    async def usage(self, *, since_ms: int | None = None, until_ms: int | None = None) -> Rows:
        """By day, function and destination, the newest day first; see the operation."""
        rows: Rows = await self.call("usage", **given(since_ms=since_ms, until_ms=until_ms))
        return rows

    async def stats(self) -> dict[str, Any]:
        """The daemon as a whole."""
        stats: dict[str, Any] = await self.call("stats")
        return stats

    async def workers(self) -> Rows:
        """A row a worker."""
        rows: Rows = await self.call("workers")
        return rows

    async def health(self, name: str | None = None) -> Rows:
        """A row a destination with `is_failing` and figures of the last hour; of one, with `windows`. Raises `NotFound`."""
        rows: Rows = await self.call("health", name=name)
        return rows

    def logs(
        self, name: str, *, follow: bool = False, since_ms: int = 0, code: str | None = None, limit: int = 100
    ) -> AsyncIterator[dict[str, Any]]:
        """The newest `limit` failures since then (ms since the epoch) that ended with `code`; with `follow` then every attempt."""
        return self.stream("logs", name=name, follow=follow, since_ms=since_ms, code=code, limit=limit)

    def audit(
        self, *, since_ms: int | None = None, until_ms: int | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Who changed what, and whose secrets were opened, the oldest first: {at, who, origin, action, subject, detail}."""
        return self.stream("audit", **given(since_ms=since_ms, until_ms=until_ms))

    async def deliveries(self, name: str, **wanted: Any) -> AsyncIterator[dict[str, Any]]:
        """Stored deliveries, as `Client.deliveries`. `wanted`: state, code, since_ms, until_ms, id. Raises `NotFound`."""
        async with contextlib.aclosing(self.stream("deliveries", name=name, **wanted)) as items:
            async for item in items:
                yield with_event(item)

    def replay(self, name: str, **wanted: Any) -> AsyncIterator[dict[str, Any]]:
        """Put what is on the shelf back into the queue: {replayed, is_done, dry_run} after each step. Who stops listening stops it.

        `wanted`: as of `deliveries`, with a state of the shelf; limit, dry_run.
        """
        return self.stream("replay", name=name, **wanted)

    def stream(self, operation: str, **arguments: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Any operation of the table that answers with items. Raises the error that the daemon answered."""
        return self.stream_for(NO_ONE_ELSE, operation, arguments)

    async def stream_for(
        self, whose: OnBehalf, operation: str, arguments: dict[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The same for somebody else: a relay passes on the token that it was shown."""
        inbox: asyncio.Queue[wire.Frame] = asyncio.Queue()
        request_id = self._session.open(inbox.put_nowait)
        is_over, taken = False, 0
        try:
            await self._send(pack_call(request_id, operation, arguments, whose))
            await self._send(frames.Credit(request_id, CREDIT).pack())
            while True:
                frame = await inbox.get()
                if not isinstance(frame, frames.Item):
                    is_over = True
                    if not isinstance(frame, frames.End):
                        raise error_of(frame)
                    return
                yield frame.value
                taken += 1
                if taken % (CREDIT // 2) == 0:
                    await self._send(frames.Credit(request_id, CREDIT // 2).pack())
        finally:
            self._session.close(request_id)
            if not is_over and self._lost is None and self._writer is not None:
                self._writer.write(frames.Cancel(request_id).pack())

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Any operation of the table. Raises the error that the daemon answered. Cancelling it cancels the operation."""
        return await self.call_for(NO_ONE_ELSE, operation, arguments)

    async def call_for(self, whose: OnBehalf, operation: str, arguments: dict[str, Any]) -> Any:
        """The same for somebody else: a relay passes on the token that it was shown."""
        inbox: asyncio.Queue[wire.Frame] = asyncio.Queue()
        request_id = self._session.open(inbox.put_nowait)
        try:
            await self._send(pack_call(request_id, operation, arguments, whose))
            return value_of(await inbox.get())
        except asyncio.CancelledError:
            if self._lost is None and self._writer is not None:
                self._writer.write(frames.Cancel(request_id).pack())
            raise
        finally:
            self._session.close(request_id)

    # --- The socket

    async def _send(self, packed: bytes) -> None:
        if self._lost is not None:
            raise self._lost
        if self._writer is None:
            raise Unavailable(
                "the client isn't connected", remedy="use it as `async with AsyncClient() as client`"
            )
        self._writer.write(packed)
        try:
            await self._writer.drain()
        except OSError:
            raise lost(self.path) from None

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            data = await reader.read(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            raise lost(self.path)
        self._session.feed(data)

    async def _read_on(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                await self._read(reader)
        except EngineError as error:
            self._end(error)

    def _end(self, error: EngineError) -> None:
        if self._lost is None:
            self._lost = error
            self._session.fail(error)

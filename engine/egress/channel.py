"""One bound worker's pipes: its fetches in, pieces of responses out, and what it may have under way.

What the worker sends is hostile until checked, and nothing is resynchronised: a frame that breaks a rule closes the
channel, and the supervisor ends the worker. Who it is says the pipe, never a field.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import traceback
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from engine.egress import control, fetching, mocks
from engine.egress.blanking import Blanker
from engine.egress.trace import RING_BYTES_MAX, Ring, Trace
from sandbox import fetch_wire
from sandbox.wire import KIB, MIB, FrameBuffer, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.egress.destinations import Destination
    from sandbox.wire import Frame

BUFFER_BYTES_MAX: Final = 16 * MIB
"""Of answers that the worker hasn't taken: beyond it upstream isn't read. And of requests that aren't answered."""
UNDER_WAY_MAX: Final = 1_024
"""Fetches of one worker that haven't ended."""
READ_BYTES: Final = 256 * KIB
INVOCATIONS_COUNTED: Final = 2_048
WRITE_PARTS: Final = 64
RING_BODIES: Final = 64
"""Where bodies are kept whole (`engine test --record`), so many of them are."""


class Channel:
    """Owner of both pipe ends, of the tasks that fetch for this worker, and of its traces."""

    def __init__(
        self,
        bind: control.Bind,
        fds: tuple[int, int],
        destination: Destination,
        *,
        on_end: Callable[[Channel, str], None],
    ) -> None:
        self.id = bind.channel
        self.destination = destination
        self.is_closed = False
        self.closed_at = 0.0
        self.ring = Ring(max(RING_BYTES_MAX, RING_BODIES * bind.trace_body_bytes))
        self.trace_body_bytes = bind.trace_body_bytes
        self.is_blanked = bind.is_blanked
        self._fetches_max = bind.fetches_max
        self._mocks: list[control.MockAnswer] | None = None
        if bind.mocks is not None:
            self.mock(bind.mocks)
        self._write_fd, self._read_fd = fds
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._frames = FrameBuffer(fetch_wire.TO_EGRESS_BYTES_MAX)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._last_id = 0
        self._held_bytes = 0
        self._is_reading = False
        self._counts: OrderedDict[int, int] = OrderedDict()
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._is_writing = False
        self._room = asyncio.Event()
        self._room.set()
        for fd in fds:
            os.set_blocking(fd, False)
        self._read_on()

    def mock(self, rows: list[Any]) -> None:
        """Answer from these from now on, and call nothing."""
        self._mocks = [control.MockAnswer.of(row) for row in rows]

    def traces(self, invocations: frozenset[int]) -> list[list[Any]]:
        """Pairs of invocation and a trace, as they are shown."""
        blanker = self.destination.blanker if self.is_blanked else Blanker(())
        names = self.destination.secret_names if self.is_blanked else frozenset()
        return [
            [trace.invocation, trace.as_map(blanker, names, self.trace_body_bytes)]
            for trace in self.ring.of(invocations)
        ]

    # --- In

    def _read_on(self) -> None:
        is_wanted = max(self._held_bytes, self._unsent_bytes) <= BUFFER_BYTES_MAX
        if is_wanted and not self._is_reading and not self.is_closed:
            self._is_reading = True
            self._loop.add_reader(self._read_fd, self._readable)
        elif not is_wanted and self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._read_fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close("")
            return
        try:
            for body in self._frames.feed(data):
                self._take(fetch_wire.decode_to_egress(body))
        except WireError as error:
            self.close(f"on its channel to the egress: {error}")
            return
        self._read_on()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, fetch_wire.Cancel):
            task = self._tasks.get(frame.id)
            if task is not None:
                task.cancel()
            return
        assert isinstance(frame, fetch_wire.Fetch)
        if frame.id <= self._last_id:
            raise WireError("a fetch's number was used before")
        self._last_id = frame.id
        headers = fetch_wire.unpack_headers(frame.headers)
        refusal = ""
        if not self._may_fetch(frame.invocation):
            refusal = f"more than {self._fetches_max} fetches by one invocation"
        elif len(self._tasks) >= UNDER_WAY_MAX:
            refusal = f"more than {UNDER_WAY_MAX} fetches of one worker at once"
        if refusal:
            self._write(fetch_wire.Failed(frame.id, "too_many", refusal))
            return
        self._held_bytes += len(frame.body)
        self._tasks[frame.id] = self._loop.create_task(self._fetch(frame, headers))

    def _may_fetch(self, invocation: int) -> bool:
        # Counted by what the worker says it runs: an honest one is held to it. What bounds one that lies are the
        # places of its destination, and a deadline that isn't the worker's to choose.
        count = self._counts.pop(invocation, 0) + 1
        self._counts[invocation] = count
        if len(self._counts) > INVOCATIONS_COUNTED:
            self._counts.popitem(last=False)
        return count <= self._fetches_max

    # --- A fetch

    async def _fetch(self, frame: fetch_wire.Fetch, headers: list[tuple[str, str]]) -> None:
        kept = self.trace_body_bytes + 4 * self.destination.blanker.longest
        trace = Trace(
            frame.invocation,
            round(time.time() * 1000),
            frame.method,
            frame.url,
            headers,
            frame.body[:kept],
            len(frame.body),
        )
        answer = _Answer(self, frame.id, trace, kept)
        try:
            if self._mocks is not None:
                await mocks.perform(frame, headers, self._mocks, self.destination, trace=trace, sink=answer)
            else:
                await fetching.perform(frame, headers, self.destination, trace, answer)
        except fetching.Failure as failure:
            trace.error, trace.message = failure.code, str(failure)
            self._write(fetch_wire.Failed(frame.id, failure.code, str(failure)))
        except Exception as error:  # noqa: BLE001  a mistake of ours: the worker is told, and so is the log
            trace.error, trace.message = "connection", f"the egress made a mistake: {type(error).__name__}"
            # Where, and not what: a message may quote what was fetched.
            sys.stderr.write("".join((*traceback.format_tb(error.__traceback__), trace.message, "\n")))
            self._write(fetch_wire.Failed(frame.id, trace.error, trace.message))
        except asyncio.CancelledError:
            trace.error, trace.message = "cancelled", "nobody waited for it any more"
        finally:
            self.ring.add(trace)
            self.destination.counter.ended(
                sent_bytes=trace.request_bytes,
                received_bytes=trace.response_bytes,
                has_failed=bool(trace.error),
            )
            self._tasks.pop(frame.id, None)
            self._held_bytes -= len(frame.body)
            self._read_on()

    async def pass_on(self, frame: Frame) -> None:
        """Queue a piece; wait while more than `BUFFER_BYTES_MAX` are queued."""
        self._write(frame)
        if self._unsent_bytes > BUFFER_BYTES_MAX:
            self._room.clear()
            await self._room.wait()

    # --- Out

    def _write(self, frame: Frame) -> None:
        if self.is_closed:
            return
        data = memoryview(frame.pack())
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if not self._is_writing:
            # What is queued in one turn of the loop goes out together.
            self._is_writing = True
            self._loop.call_soon(self._begin_write)

    def _begin_write(self) -> None:
        if not self.is_closed and self._flush():
            self._loop.add_writer(self._write_fd, self._writable)

    def _writable(self) -> None:
        if not self._flush():
            self._loop.remove_writer(self._write_fd)

    def _flush(self) -> bool:
        """Write what the pipe takes; True if something is left."""
        unsent = self._unsent
        try:
            while unsent:
                written = os.writev(
                    self._write_fd, [unsent[at] for at in range(min(len(unsent), WRITE_PARTS))]
                )
                self._unsent_bytes -= written
                while written:
                    if written < len(unsent[0]):
                        unsent[0] = unsent[0][written:]
                        break
                    written -= len(unsent.popleft())
        except BlockingIOError:
            pass
        except OSError:
            self._loop.call_soon(self.close, "")
            unsent.clear()
            self._unsent_bytes = 0
        if self._unsent_bytes <= BUFFER_BYTES_MAX:
            self._room.set()
            self._read_on()
        self._is_writing = bool(unsent)
        return self._is_writing

    # --- Its end

    def close(self, violation: str) -> None:
        """The worker is gone, or broke a rule: end what is under way; its traces stay a while."""
        if self.is_closed:
            return
        self.is_closed, self.closed_at = True, time.monotonic()
        for task in self._tasks.values():
            task.cancel()
        self._loop.remove_writer(self._write_fd)
        self._loop.remove_reader(self._read_fd)
        for fd in (self._write_fd, self._read_fd):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._unsent.clear()
        self._unsent_bytes = 0
        self._room.set()
        self._on_end(self, violation)


class _Answer:
    """Makes frames of pieces, and keeps of them what a trace shows."""

    __slots__ = ("_channel", "_id", "_kept", "_trace")

    def __init__(self, channel: Channel, number: int, trace: Trace, kept: int) -> None:
        self._channel = channel
        self._id = number
        self._trace = trace
        self._kept = kept

    async def piece(self, head: fetching.Head | None, data: bytes, *, is_last: bool) -> None:
        trace = self._trace
        if len(trace.response_body) < self._kept:
            trace.response_body += data[: self._kept - len(trace.response_body)]
        trace.response_bytes += len(data)
        frame: Frame = (
            fetch_wire.Answer(
                self._id, head.status, head.url, fetch_wire.pack_headers(head.headers), data, is_last
            )
            if head is not None
            else fetch_wire.Body(self._id, data, is_last)
        )
        await self._channel.pass_on(frame)

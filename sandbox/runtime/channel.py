"""The worker's end of its pipes to the egress. Both loops use it: one waits in it, the other is told by asyncio.

Whatever is interrupted by a deadline, what goes over the pipes stays in step: bytes are moved only under `hold`, where
no deadline strikes; a request is in the queue whole or not at all; and an answer nobody waits for any more is dropped.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING, Final

from sandbox import fetch_wire
from sandbox.runtime import errors
from sandbox.runtime.response import Response
from sandbox.wire import KIB, PAGE_FETCHES_OFFSET, FrameBuffer

if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractContextManager

    from sandbox.runtime.context import Invocation
    from sandbox.runtime.request import Request
    from sandbox.wire import Frame

READ_BYTES: Final = 256 * KIB
TIMEOUT_GRACE_S: Final = 0.05
"""A fetch ends so much before its invocation would, so that the handler can still say what it makes of it."""
_FETCHES_AT: Final = PAGE_FETCHES_OFFSET // 8
_CLASSES: Final[dict[str, type[errors.FetchError]]] = {
    "timeout": errors.FetchTimeout,
    "connection": errors.ConnectionFailed,
    "refused": errors.AddressRefused,
    "too_large": errors.ResponseTooLarge,
    "too_many": errors.TooManyRequests,
}


class Exchange:
    """A fetch under way."""

    __slots__ = (
        "begun",
        "body",
        "failure",
        "future",
        "head",
        "id",
        "invocation",
        "is_done",
        "method",
        "ok_below",
        "url",
    )

    def __init__(self, number: int, invocation: Invocation, request: Request, ok_below: int) -> None:
        self.id = number
        self.invocation = invocation
        self.method = request.method
        self.url = request.url
        self.ok_below = ok_below
        self.begun = time.monotonic()
        self.head: fetch_wire.Answer | None = None
        self.body: list[bytes] = []
        self.failure: errors.FetchError | None = None
        self.is_done = False
        self.future: asyncio.Future[None] | None = None


class Channel:
    """Owner of the two pipe ends and of the fetches under way."""

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        epoll: select.epoll,
        page: memoryview,
        hold: AbstractContextManager[None],
    ) -> None:
        """`page` says what a plain loop runs; under `hold` no deadline strikes."""
        self.timeout_s = 5.0
        """Of an invocation."""
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._epoll = epoll  # made before the limits: `poll` itself is refused to who may have no descriptors
        self._page = page
        self._hold = hold
        self._frames = FrameBuffer(fetch_wire.FROM_EGRESS_BYTES_MAX)
        self._unsent = bytearray()
        self._exchanges: dict[int, Exchange] = {}
        self._last_id = 0
        self._loads = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_flush_due = False
        self._is_writing = False
        for fd in (read_fd, write_fd):
            os.set_blocking(fd, False)
        epoll.register(read_fd, select.EPOLLIN)
        epoll.register(write_fd, 0)

    # --- For the loops

    def begin_load(self, timeout_s: float) -> None:
        """A module is about to be loaded: what it fetches meanwhile is counted by itself."""
        self.timeout_s = timeout_s
        self._loads += 1

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answers are taken as they come, by `loop`."""
        self._loop = loop
        loop.add_reader(self._read_fd, self._pump_in)

    def detach(self) -> None:
        """No loop runs any more."""
        if self._loop is not None:
            self._loop.remove_reader(self._read_fd)
            self._loop.remove_writer(self._write_fd)
            self._loop, self._is_writing = None, False

    def end(self, invocation: Invocation) -> None:
        """It is over: nobody waits for what it still has under way."""
        for exchange in [item for item in self._exchanges.values() if item.invocation is invocation]:
            self.abandon(exchange)

    # --- A fetch

    def begin(
        self, request: Request, invocation: Invocation, timeout_ms: float | None, flags: int, ok_below: int
    ) -> Exchange:
        """Queue a request. Raises `TooManyRequests` beyond what the invocation may."""
        with self._hold:
            now = time.monotonic()
            left_s = self._count(invocation, now) - TIMEOUT_GRACE_S
            if timeout_ms is not None:
                left_s = min(left_s, timeout_ms / 1000)
            self._last_id += 1
            exchange = Exchange(self._last_id, invocation, request, ok_below)
            frame = fetch_wire.Fetch(
                exchange.id,
                invocation.sequence,
                request.method,
                request.url,
                request.headers,
                request.body,
                max(1, int(left_s * 1000)),
                flags,
            )
            self._unsent += frame.pack()
            self._exchanges[exchange.id] = exchange
            self._page[_FETCHES_AT] = self._last_id
            self._flush_soon()
        return exchange

    def _count(self, invocation: Invocation, now: float) -> float:
        """One fetch more; how many seconds the invocation has left."""
        if invocation.task is None:
            # A plain loop says only in the page what it runs, and when it began is known to 10 ms.
            sequence = self._page[0] if invocation.is_active else fetch_wire.LOADING + self._loads
            if sequence != invocation.sequence:
                invocation.sequence, invocation.fetches, invocation.started = sequence, 0, now
        if invocation.fetches >= invocation.fetches_max:
            raise errors.TooManyRequests(
                f"an invocation may make {invocation.fetches_max} fetches; send many events in one request instead"
            )
        invocation.fetches += 1
        return invocation.started + self.timeout_s - now

    def wait(self, exchange: Exchange) -> Response:
        """The response, as soon as it is there; nothing else runs meanwhile. Raises `FetchError`, or what strikes while it waits."""
        try:
            while True:
                self._pump_out()
                self._pump_in()
                if exchange.is_done:
                    return self.result(exchange)
                self._epoll.modify(self._write_fd, select.EPOLLOUT if self._unsent else 0)
                self._epoll.poll()
        except BaseException:
            self.abandon(exchange)
            raise

    @staticmethod
    def result(exchange: Exchange) -> Response:
        """Of an exchange that is done. Raises `FetchError`."""
        if exchange.failure is not None:
            raise exchange.failure
        head = exchange.head
        assert head is not None
        response = Response(
            head.status,
            head.url,
            fetch_wire.unpack_headers(head.headers),
            exchange.body[0] if len(exchange.body) == 1 else b"".join(exchange.body),
            time.monotonic() - exchange.begun,
            method=exchange.method,
            ok_below=exchange.ok_below,
        )
        if exchange.invocation.responses is not None:
            exchange.invocation.responses.append(response)
        return response

    def abandon(self, exchange: Exchange) -> None:
        """Nobody waits for it any more."""
        with self._hold:
            if self._exchanges.pop(exchange.id, None) is not None:
                self._unsent += fetch_wire.Cancel(exchange.id).pack()
                if self._loop is None:
                    self._pump_out()
                else:
                    self._flush_soon()

    # --- Bytes

    def _flush_soon(self) -> None:
        """With a loop: once for all that is begun in this turn of it."""
        if self._loop is not None and not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        self._pump_out()
        if self._loop is not None and bool(self._unsent) != self._is_writing:
            self._is_writing = not self._is_writing
            if self._is_writing:
                self._loop.add_writer(self._write_fd, self._flush)
            else:
                self._loop.remove_writer(self._write_fd)

    def _pump_out(self) -> None:
        with self._hold:
            try:
                while self._unsent:
                    del self._unsent[: os.write(self._write_fd, self._unsent)]
            except BlockingIOError:
                pass
            except OSError:
                _wait_for_the_end()

    def _pump_in(self) -> None:
        with self._hold:
            while True:
                try:
                    data = os.read(self._read_fd, READ_BYTES)
                except BlockingIOError:
                    return
                if not data:
                    _wait_for_the_end()
                for body in self._frames.feed(data):
                    self._take(fetch_wire.decode_from_egress(body))
                if len(data) < READ_BYTES:
                    return

    def _take(self, frame: Frame) -> None:
        assert isinstance(frame, fetch_wire.Answer | fetch_wire.Body | fetch_wire.Failed)
        exchange = self._exchanges.get(frame.id)
        if exchange is None:
            return
        if isinstance(frame, fetch_wire.Failed):
            kind = _CLASSES.get(frame.code, errors.FetchError)
            place = exchange.url.partition("?")[0][:200]
            exchange.failure = kind(f"{exchange.method} {place}: {frame.message}")
        else:
            if isinstance(frame, fetch_wire.Answer):
                exchange.head = frame
            exchange.body.append(frame.body)
            if not frame.is_last:
                return
        exchange.is_done = True
        del self._exchanges[frame.id]
        if exchange.future is not None and not exchange.future.done():
            exchange.future.set_result(None)


def _wait_for_the_end() -> None:
    """The egress is gone: the supervisor ends this worker, and runs again what it held, uncharged."""
    with contextlib.suppress(InterruptedError):
        while True:
            time.sleep(3600)

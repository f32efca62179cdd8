"""One connection to a server: HTTP/1.1, a request at a time, parsed by llhttp.

    send(head, body) ─► status, headers ─► read() … until it is all ─► idle, or closed

What a server says is hostile: heads are bounded as they come, and what isn't body is bounded by itself, so that
neither an endless head nor endless chunks' extensions or trailers grow; a body that isn't taken pauses the connection. What nobody
asked for ends it. Nothing of a response decides what the next one on the connection means: after anything odd it isn't used again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import httptools

from engine.egress.rules import Refused
from sandbox.fetch_wire import HEADER_BYTES_MAX
from sandbox.wire import KIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.egress.rules import Rules

HEADERS_MAX: Final = 100
LINE_BYTES_MAX: Final = 8 * KIB
"""A header's name and value."""
FRAMING_BYTES_MAX: Final = 2 * HEADER_BYTES_MAX
"""That may come without a byte of body: status lines, headers, lengths of chunks and what stands beside them, trailers."""
UNREAD_BYTES_MAX: Final = 256 * KIB
"""Of a body; beyond it nothing is read from the connection."""
READ_BYTES: Final = 64 * KIB
"""A body that comes byte by byte wakes nobody before so much of it is there, or all."""
JOINED_BYTES_MAX: Final = 64 * KIB
"""A longer request's body isn't copied to stand behind its head."""


class Connection(asyncio.Protocol):
    """Owner of a transport and of the response that is coming on it."""

    def __init__(self, key: tuple[object, ...], rules: Rules, ended: Callable[[Connection], None]) -> None:
        """`key` says whose it is, and where it leads; `rules` are those that its address was judged by."""
        self.key = key
        self.rules = rules
        self.idle_since = 0.0
        """It was connected; `ended` is called when it isn't any more."""
        self.is_used = False
        """It has carried a response before."""
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        """Of the response, in order, as they were written."""
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            # RFC 9112, 2.2 and 7.1.1: what recipients have always let pass. It can't be a danger where only the
            # first response to a request is ever believed.
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._waiter: asyncio.Future[None] | None = None
        self._clear()
        self._is_expecting = False

    def _clear(self) -> None:
        self.status, self.headers = 0, []
        self._is_expecting = True
        self._is_for_head = self._is_reading = False
        self._is_head_there = self._is_complete = self._is_kept = False
        self._header_bytes = self._framing_bytes = 0
        self._error: Exception | None = None
        self._body = bytearray()
        self._is_paused = False

    # --- For whoever fetches

    async def send(self, head: bytes, body: bytes, *, is_for_head: bool = False) -> None:
        """Send a request; returns once its response's head is there. Raises `OSError` or `Refused`."""
        assert self._transport is not None
        self._clear()
        self._is_for_head = is_for_head
        if len(body) <= JOINED_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        while not self._is_there:
            await self._more()

    async def read(self) -> tuple[bytes, bool]:
        """The rest of the body, or of what is long the next `READ_BYTES` at least; and whether that was the end. Raises as `send`."""
        self._is_reading = True
        while not self._is_there:
            await self._more()
        data, self._body = bytes(self._body), bytearray()
        if self._is_paused and self.is_open and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return data, self._is_complete

    @property
    def _is_there(self) -> bool:
        """What is waited for: the head; then so much of the body that it is worth waking somebody."""
        if not self._is_reading:
            return self._is_head_there
        return self._is_complete or len(self._body) >= READ_BYTES

    @property
    def is_open(self) -> bool:
        """It can be written to."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def has_answered(self) -> bool:
        """Something of the response has come."""
        return bool(self._framing_bytes)

    def rest(self) -> bool:
        """The response is over; False if the connection can't be used for another."""
        transport = self._transport
        is_usable = (
            self.is_open
            and self._is_complete
            and self._is_kept
            and not self._body
            and transport is not None
            and not transport.get_write_buffer_size()  # a server that answered before it had read all
        )
        self._is_expecting, self.is_used = False, True
        return is_usable

    def close(self) -> None:
        """End it, at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        if self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None and not self._is_there:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.close()

    # --- For the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is connected, and if it is to be, encrypted."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, and says it isn't

    def data_received(self, data: bytes) -> None:
        """Parse it; whoever waits is woken once for all of it."""
        if not self._is_expecting or self._is_complete:
            self._is_kept = False
            self.close()
            return
        self._framing_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(ConnectionError("the server changes the protocol, unasked"))
        except httptools.HttpParserError as error:
            if not self._is_complete:
                self._fail(self._error or ConnectionError(f"the server's answer isn't HTTP: {error}"))
            self._is_kept = False
        if self._framing_bytes > FRAMING_BYTES_MAX and not self._is_complete:
            self._fail(_headers_too_large())
        if self._is_there or self._error is not None:
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """It is closed, by whomever."""
        if self._is_expecting and not self._is_complete:
            if self._is_head_there and self._ends_with_connection() and error is None and self._error is None:
                self._is_complete = True
            else:
                self._error = self._error or ConnectionResetError(
                    "the server closed the connection without a complete answer"
                )
            self._wake()
        self._ended(self)

    def _ends_with_connection(self) -> bool:
        """RFC 9112, 6.3: a body of which no length is known."""
        return not any(name.lower() in {"content-length", "transfer-encoding"} for name, _ in self.headers)

    # --- For the parser: a response, of which those with status 1xx are no more than a prelude

    def on_message_begin(self) -> None:
        """A status line."""
        if self._is_complete:
            self._is_kept = False  # a second response that nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; a trailer is left out."""
        if self._is_head_there:
            return
        size = len(name) + len(value)
        self._header_bytes += size
        if len(self.headers) >= HEADERS_MAX or size > LINE_BYTES_MAX or self._header_bytes > HEADER_BYTES_MAX:
            self._error = _headers_too_large()
            raise self._error
        self.headers.append((name.decode("ascii", "replace"), _text(value)))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._is_head_there:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return
        self.status, self._is_head_there = status, True
        self._is_kept = self._parser.should_keep_alive()
        if self._is_for_head:
            # The parser doesn't know that nothing follows, whatever length is named: it can't be used again.
            self._is_complete, self._is_kept = True, False

    def on_body(self, data: bytes) -> None:
        """A piece."""
        if self._is_complete:
            return
        self._framing_bytes = 1
        self._body += data
        if len(self._body) > UNREAD_BYTES_MAX and not self._is_paused and self.is_open:
            assert self._transport is not None
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """That was all of it."""
        if self._is_head_there:
            self._is_complete = True


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _headers_too_large() -> Refused:
    return Refused(
        f"the response's headers are too many or too long: {HEADERS_MAX}, {LINE_BYTES_MAX // KIB} KiB each and"
        f" {HEADER_BYTES_MAX // KIB} KiB together are taken",
        "too_large",
    )

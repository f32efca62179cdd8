"""One HTTP connection: uvicorn's, with limits on what a client sends and on how slowly it does.

Whatever isn't part of a body counts as overhead: request line, headers, the framing of chunks, trailers. A request's
head and its body have a time each; between requests a connection may be idle for `IDLE_S_MAX`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

CONNECTIONS_MAX: Final = 2_000
HEAD_BYTES_MAX: Final = 32 * 1024
HEADERS_MAX: Final = 100
HEAD_S_MAX: Final = 10.0
"""From the first byte of a request, or from the connection, to the end of its headers."""
BODY_S_MAX: Final = 30.0
"""From the end of the headers to the end of the body."""
WRITE_S_MAX: Final = 30.0
"""For a client to take some of an answer that waits."""
IDLE_S_MAX: Final = 75
HELD_BYTES_MAX: Final = 64 * 1024
SWEEP_S: Final = 1.0
"""How often connections are looked at: a time limit holds to so much."""

_REFUSALS: Final = {
    400: (b"Bad Request", b"this is no HTTP request"),
    408: (b"Request Timeout", b"the request took too long to arrive"),
    431: (b"Request Header Fields Too Large", b"too many headers, or too long ones"),
    503: (b"Service Unavailable", b"too many connections"),
}


class OnePiece:
    """A transport that sends in one piece what is written in one turn of the loop: uvicorn writes an answer in two."""

    __slots__ = ("_held", "_held_bytes", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """Send it soon; at once if it is much, so that the transport can say that it is too much."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES_MAX:
            self._flush()

    def _flush(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))

    def close(self) -> None:
        """Hang up when all is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Hang up."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """It is hung up, or is going to be."""
        return self._transport.is_closing()


class Connection(HttpToolsProtocol):
    """One client."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.access_log = False
        self._due = math.inf
        """When what is arriving must be complete; on the loop's clock."""
        self._write_due = math.inf
        self._overhead_bytes = 0
        self._head_bytes = 0
        self._refusal = 400

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it; one too many is told so."""
        transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", OnePiece(transport, self.loop))
        self._due = self.loop.time() + HEAD_S_MAX
        if len(self.connections) > CONNECTIONS_MAX:
            self.refuse(503)

    def data_received(self, data: bytes) -> None:
        """Some bytes, of which bodies are subtracted as they are found."""
        if self.transport.is_closing():
            return
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._overhead_bytes > HEAD_BYTES_MAX:
            self.refuse(431)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio asks for an answer; uvicorn gives none
        """The client sends no more. If its request is complete, it may wait for the answer all the same."""
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.response_started:
            return False
        cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        # What else came with it is not counted: no more than one read, and `on_header` counts again.
        self._overhead_bytes = self._head_bytes = 0
        self._due = self.loop.time() + HEAD_S_MAX

    def on_url(self, url: bytes) -> None:
        """Some of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer."""
        self._count(len(name) + len(value))
        if len(self.headers) >= HEADERS_MAX:
            self._break_off()
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._break_off()

    def _break_off(self) -> None:
        self._refusal = 431
        raise ValueError("too many headers, or too long ones")  # ends the parser; `send_400_response` answers

    def on_headers_complete(self) -> None:
        """The head is complete."""
        super().on_headers_complete()
        self._due = self.loop.time() + BODY_S_MAX

    def on_body(self, body: bytes) -> None:
        """Some of a body; the application bounds it."""
        self._overhead_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete: now it is the application's turn."""
        super().on_message_complete()
        self._due = math.inf

    def pause_writing(self) -> None:
        """The client doesn't take its answer."""
        super().pause_writing()
        self._write_due = self.loop.time() + WRITE_S_MAX

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._write_due = math.inf

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's signature
        """What came is no HTTP, or more of it than is allowed."""
        self.refuse(self._refusal)

    def sweep(self, now: float) -> None:
        """End it if what is arriving is late. While it isn't read, because an answer is due first, it isn't late."""
        if now >= self._write_due:
            self.transport.abort()
        if now < self._due or self.flow.read_paused or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()  # nothing of a request, or only a part of its head
        elif self.cycle.response_started:
            self.transport.abort()
        else:
            self.refuse(408)

    def refuse(self, status: int) -> None:
        """Say why, and close."""
        if self.transport.is_closing():
            return
        reason, message = _REFUSALS[status]
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, reason, len(message), message)
        )
        self.transport.close()

"""One fetch, from a worker's frame to its last piece: checked, sent, followed, decoded, capped, timed.

parse ─► rules ─► a place among the destination's requests ─► connection ─► redirect? ─► head ─► pieces ─► trace
└────────────────────── one deadline over all of it ───────────────────────────────────────────────┘
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from engine.egress import rules
from engine.egress.decoding import ACCEPTED, Decoder, too_large
from engine.egress.rules import Refused, Step
from sandbox import fetch_wire

if TYPE_CHECKING:
    from engine.egress.connection import Connection
    from engine.egress.destinations import Destination
    from engine.egress.trace import Trace

USER_AGENT: Final = "engine/0.1"
_OF_CODED: Final = frozenset({"content-encoding", "content-length"})
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""RFC 9110, 9.2.2: what may be sent again when a connection that was kept turns out to be closed."""
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
"""RFC 9110, 8.6: these say that a body is empty."""


class Failure(Exception):
    """It has failed; `code` is one of `sandbox.fetch_wire.FAILURES`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Head(NamedTuple):
    """Of the response that a handler sees."""

    status: int
    url: str
    headers: list[tuple[str, str]]


class Sink(Protocol):
    """Where a response goes."""

    async def piece(self, head: Head | None, data: bytes, *, is_last: bool) -> None:
        """Pass on a piece, the first one with the head; waits while what was passed on isn't taken."""


async def perform(
    frame: fetch_wire.Fetch,
    headers: list[tuple[str, str]],
    destination: Destination,
    trace: Trace,
    sink: Sink,
) -> None:
    """Do it; raises `Failure`. `trace` is filled in as far as it gets."""
    begun = time.perf_counter()
    deadline_s = min(frame.timeout_ms, destination.timeout_ms) / 1000
    try:
        async with asyncio.timeout(deadline_s):
            step = first_step(frame, headers)
            trace.url = step.target.url
            async with destination.places:
                trace.waited_ms = (time.perf_counter() - begun) * 1000
                await _exchange(frame, step, destination, trace, sink)
    except TimeoutError:
        raise Failure("timeout", f"no complete answer within {round(deadline_s * 1000)} ms") from None
    except Refused as error:
        raise Failure(error.code, str(error)) from None
    except ssl.SSLCertVerificationError as error:
        raise Failure("connection", f"the server's certificate isn't valid: {_cut(error)}") from None
    except OSError as error:
        raise Failure("connection", _cut(error)) from None
    finally:
        trace.total_ms = (time.perf_counter() - begun) * 1000


def _cut(error: Exception) -> str:
    """What the system says of it: nothing of that is a secret."""
    return str(error)[:300] or type(error).__name__


def first_step(frame: fetch_wire.Fetch, headers: list[tuple[str, str]]) -> Step:
    """What a worker asks for, checked. Raises `Refused`."""
    method = rules.check_method(frame.method)
    checked = rules.check_headers(headers)
    names = {name.lower() for name, _ in checked}
    if "user-agent" not in names:
        checked.append(("User-Agent", USER_AGENT))
    if "accept" not in names:
        checked.append(("Accept", "*/*"))
    if "accept-encoding" not in names:
        checked.append(("Accept-Encoding", ACCEPTED))
    return Step(method, rules.parse_target(frame.url), checked, frame.body)


async def _exchange(
    frame: fetch_wire.Fetch, step: Step, destination: Destination, trace: Trace, sink: Sink
) -> None:
    begun = time.perf_counter() - trace.waited_ms / 1000
    while True:
        destination.rules.check_target(step.target)
        connection = await _send(step, destination, trace)
        try:
            trace.status, trace.final_url = connection.status, step.target.url
            trace.first_byte_ms = (time.perf_counter() - begun) * 1000
            destination.counter.response(connection.status)
            following = redirected(frame, connection.status, connection.headers, step, destination, trace)
            if following is None:
                await _pass_on(connection, step, trace, sink)
                return
        finally:
            destination.pool.give_back(connection)
        step = following


def redirected(  # noqa: PLR0917
    frame: fetch_wire.Fetch,
    status: int,
    headers: list[tuple[str, str]],
    step: Step,
    destination: Destination,
    trace: Trace,
) -> Step | None:
    """The request that a response asks for, if the handler wants that followed. Raises `Refused` where it may not lead."""
    if not frame.flags & fetch_wire.FOLLOW_REDIRECTS:
        return None
    following = rules.follow(status, _header(headers, "location"), step, destination.secret_names)
    if following is None:
        return None
    trace.redirects += 1
    if trace.redirects > rules.REDIRECTS_MAX:
        raise Refused(f"more than {rules.REDIRECTS_MAX} redirects")
    return destination.without_secrets(step, following)


async def _send(step: Step, destination: Destination, trace: Trace) -> Connection:
    """A connection on which the response's head has come; the caller gives it back."""
    head = _head(step)
    while True:
        connection = await destination.pool.take(destination, step.target, trace)
        is_used = connection.is_used
        try:
            await connection.send(head, step.body, is_for_head=step.method == "HEAD")
        except BaseException as error:
            destination.pool.give_back(connection)
            # A server may close what is kept at any time, also while a request is on its way to it.
            is_stale = is_used and not connection.has_answered and isinstance(error, OSError)
            if not is_stale or step.method not in _REPEATABLE:
                raise
        else:
            return connection


def _head(step: Step) -> bytes:
    lines = [f"{step.method} {step.target.rest} HTTP/1.1\r\nHost: {step.target.authority}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in step.headers]
    if step.body or step.method in _WITH_BODY:
        lines.append(f"Content-Length: {len(step.body)}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("utf-8", "replace")


def _header(headers: list[tuple[str, str]], wanted: str) -> str | None:
    return next((value for name, value in headers if name.lower() == wanted), None)


async def _pass_on(connection: Connection, step: Step, trace: Trace, sink: Sink) -> None:
    headers, coding, length = [], "", ""
    for pair in connection.headers:
        name = pair[0].lower()
        if name == "content-length":
            length = pair[1]
        elif name == "content-encoding":
            coding = pair[1]
        if name not in _HIDDEN:
            headers.append(pair)
    trace.response_headers = headers
    decoder = Decoder(coding)
    if length.isdecimal() and int(length) > fetch_wire.RESPONSE_BYTES_MAX and step.method != "HEAD":
        raise too_large()
    if decoder.is_decoding:
        headers = [pair for pair in headers if pair[0].lower() not in _OF_CODED]
    head: Head | None = Head(connection.status, step.target.url, headers)
    held, is_end = bytearray(), False
    while not is_end:
        received, is_end = await connection.read()
        for piece in decoder.feed(received):
            if len(held) + len(piece) > fetch_wire.PIECE_BYTES_MAX:
                await sink.piece(head, bytes(held), is_last=False)
                head, held = None, bytearray()
            held += piece
    await sink.piece(head, bytes(held), is_last=True)


_HIDDEN: Final = rules.OURS - {"content-length"}

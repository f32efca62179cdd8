"""One fetch, from a worker's frame to its last piece: checked, sent, followed, decoded, capped, timed.

parse ─► rules ─► a place among the destination's requests ─► upstream ─► redirect? ─► head ─► pieces ─► trace
└────────────────────── one deadline over all of it ───────────────────────────────────────────────┘
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import aiohttp
from aiohttp import http_exceptions

from engine.egress import rules
from engine.egress.decoding import ACCEPTED, Decoder, too_large
from engine.egress.rules import Refused, Step
from engine.egress.upstream import Attempt
from sandbox import fetch_wire

if TYPE_CHECKING:
    from engine.egress.destinations import Destination
    from engine.egress.trace import Trace
    from engine.egress.upstream import Upstream

USER_AGENT: Final = "engine/0.1"


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
            step = _first_step(frame, headers)
            trace.url = step.target.url
            async with destination.place() as upstream:
                trace.waited_ms = (time.perf_counter() - begun) * 1000
                is_following = bool(frame.flags & fetch_wire.FOLLOW_REDIRECTS)
                await _exchange(step, is_following, destination, upstream, trace=trace, sink=sink)
    except TimeoutError:
        raise Failure("timeout", f"no complete answer within {round(deadline_s * 1000)} ms") from None
    except Refused as error:
        raise Failure(error.code, str(error)) from None
    except (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError, ssl.SSLError) as error:
        raise _failure(error) from None
    finally:
        trace.total_ms = (time.perf_counter() - begun) * 1000


def _first_step(frame: fetch_wire.Fetch, headers: list[tuple[str, str]]) -> Step:
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
    step: Step, is_following: bool, destination: Destination, upstream: Upstream, *, trace: Trace, sink: Sink
) -> None:
    begun = time.perf_counter() - trace.waited_ms / 1000
    while True:
        destination.rules.check_target(step.target)
        attempt = Attempt(destination.rules, step.target)
        try:
            response = await upstream.send(step, attempt)
        finally:
            trace.resolve_ms += attempt.resolve_s * 1000
            trace.connect_ms += max(0.0, attempt.connect_s - attempt.resolve_s) * 1000
        async with response:
            trace.status, trace.final_url = response.status, step.target.url
            trace.first_byte_ms = (time.perf_counter() - begun) * 1000
            destination.counter.response(response.status)
            following = (
                rules.follow(
                    response.status, response.headers.get("Location"), step, destination.secret_names
                )
                if is_following
                else None
            )
            if following is None:
                await _pass_on(response, step, trace, sink)
                return
        trace.redirects += 1
        if trace.redirects > rules.REDIRECTS_MAX:
            raise Failure("refused", f"more than {rules.REDIRECTS_MAX} redirects")
        step = destination.without_secrets(step, following)


async def _pass_on(response: aiohttp.ClientResponse, step: Step, trace: Trace, sink: Sink) -> None:
    headers = [(name, value) for name, value in response.headers.items() if name.lower() not in _HIDDEN]
    if sum(len(name) + len(value) for name, value in headers) > fetch_wire.HEADER_BYTES_MAX:
        raise Refused(
            f"the response's headers are longer than {fetch_wire.HEADER_BYTES_MAX // 1024} KiB", "too_large"
        )
    trace.response_headers = headers
    decoder = Decoder(response.headers.get("Content-Encoding", ""))
    if (response.content_length or 0) > fetch_wire.RESPONSE_BYTES_MAX:
        raise too_large()
    if decoder.is_decoding:
        headers = [(n, v) for n, v in headers if n.lower() not in {"content-encoding", "content-length"}]
    head: Head | None = Head(response.status, step.target.url, headers)
    held = b""
    async for received in response.content.iter_any():
        for piece in decoder.feed(received):
            # One piece is held back, so that the last one is known to be the last.
            if held:
                await sink.piece(head, held, is_last=False)
                head = None
            held = piece
    await sink.piece(head, held, is_last=True)


_HIDDEN: Final = rules.OURS - {"content-length"}


def _failure(error: Exception) -> Failure:
    """What aiohttp and the system raise, in our words; nothing of it is a secret, but it is cut."""
    text = str(error)[:300] or type(error).__name__
    if isinstance(error, http_exceptions.LineTooLong) or "Too many" in text or "more than" in text:
        return Failure("too_large", f"the response's headers are too many or too long: {text}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return Failure("connection", f"the server's certificate isn't valid: {text}")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure("connection", f"the host's name can't be resolved: {text}")
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionResetError):
        return Failure("connection", "the server closed the connection without a complete answer")
    return Failure("connection", text)

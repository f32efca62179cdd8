"""Answers from a list instead of from the network; see `mocking` for how they are written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.egress import fetching
from engine.egress.fetching import Failure, Head
from engine.egress.rules import Refused
from sandbox import fetch_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.egress.blanking import Blanker
    from engine.egress.control import MockAnswer
    from engine.egress.destinations import Destination
    from engine.egress.fetching import Sink
    from engine.egress.rules import Step
    from engine.egress.trace import Trace


async def perform(
    frame: fetch_wire.Fetch,
    headers: list[tuple[str, str]],
    known: Sequence[MockAnswer],
    destination: Destination,
    *,
    trace: Trace,
    sink: Sink,
) -> None:
    """Answer as `fetching.perform` would, redirects included. Raises `Failure`, `unmocked` if no mock fits."""
    begun = time.perf_counter()
    try:
        step = fetching.first_step(frame, headers)
        trace.url = step.target.url
        while True:
            response = _answer(known, step, destination.blanker)
            trace.status, trace.final_url = response.status, step.target.url
            following = fetching.redirected(
                frame, response.status, response.headers, step, destination, trace
            )
            if following is None:
                break
            step = following
    except Refused as error:
        raise Failure(error.code, str(error)) from None
    finally:
        trace.first_byte_ms = trace.total_ms = (time.perf_counter() - begun) * 1000
    trace.response_headers = response.headers
    head: Head | None = Head(response.status, step.target.url, response.headers)
    content = response.body
    for at in range(0, max(1, len(content)), fetch_wire.PIECE_BYTES_MAX):
        end = at + fetch_wire.PIECE_BYTES_MAX
        await sink.piece(head, content[at:end], is_last=end >= len(content))
        head = None


def _answer(known: Sequence[MockAnswer], step: Step, blanker: Blanker) -> MockAnswer:
    method, url = step.method, step.target.url
    spellings = (url, blanker.blank(url))  # what `engine test --record` wrote has no secrets
    mock = next(
        (item for item in reversed(known) if any(_fits(item, method, text) for text in spellings)), None
    )
    if mock is None:
        raise Failure("unmocked", f"no mock answers {method} {url}")
    if mock.error:
        raise Failure(mock.error, "the mock says so")
    return mock


def _fits(mock: MockAnswer, method: str, url: str) -> bool:
    if mock.method not in {"*", method}:
        return False
    return url.startswith(mock.url[:-1]) if mock.url.endswith("*") else url == mock.url

"""Answers from a list instead of from the network: `engine test --mock FILE`, and `fn.mock(…)` of `engine.testing`.

A mock is a map: `method`, `url`, and of the answer `status` (200), `headers` ({}), and one of `json`, `text` and
`base64`; or `error`, one of `sandbox.fetch_wire.FAILURES`. The last one that fits answers; `*` is any method, and a
URL that ends in `*` is every URL that begins so. An answer has the headers and the body that an `httpx.Response` of the same has
(a test compares).
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.egress import fetching, rules
from engine.egress.blanking import BLANK
from engine.egress.decoding import Decoder
from engine.egress.fetching import Failure, Head
from engine.egress.rules import Refused
from sandbox import fetch_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.egress.blanking import Blanker
    from engine.egress.destinations import Destination
    from engine.egress.fetching import Sink
    from engine.egress.rules import Step
    from engine.egress.trace import Trace

_BODIES: Final = ("json", "text", "base64")
_KEYS: Final = frozenset({"method", "url", "status", "headers", "error", *_BODIES})


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered, whole."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Mock:
    """What is answered to whom."""

    method: str
    url: str
    """In its one spelling; a prefix if it ends in `*`."""
    response: Response | None
    error: str = ""

    def fits(self, method: str, url: str) -> bool:
        """It answers this request."""
        if self.method not in {"*", method}:
            return False
        return url.startswith(self.url[:-1]) if self.url.endswith("*") else url == self.url


def parse(items: Sequence[Any]) -> list[Mock]:
    """Read a list of mocks. Raises `ValueError` naming the one that is wrong."""
    found = []
    for at, item in enumerate(items):
        try:
            found.append(_parse(item))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"mock {at + 1}: {error}") from None
    return found


def _parse(item: Any) -> Mock:
    if not isinstance(item, dict) or not isinstance(item.get("url"), str):
        raise ValueError("a mock is an object with at least `url`")  # noqa: TRY004  one class for what a user got wrong
    if unknown := sorted(set(item) - _KEYS):
        raise ValueError(f"{', '.join(unknown)} is unknown; there are {', '.join(sorted(_KEYS))}")
    url = item["url"]
    try:
        spelt = url if BLANK in url else _spelt(url)
    except Refused as error:
        raise ValueError(str(error)) from None
    method = str(item.get("method", "*")).upper()
    if failure := item.get("error"):
        if failure not in fetch_wire.FAILURES:
            raise ValueError(f"error is one of {', '.join(fetch_wire.FAILURES)}, not {failure!r}")
        return Mock(method, spelt, None, failure)
    return Mock(method, spelt, _response(item))


def _response(item: dict[str, Any]) -> Response:
    headers = _headers(item.get("headers") or {})
    bodies = [name for name in _BODIES if item.get(name) is not None]
    if len(bodies) > 1:
        raise ValueError("only one of json, text and base64 can be the body")
    body, implied = b"", {}
    if bodies == ["json"]:
        text = json.dumps(item["json"], ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        body, implied = text.encode(), {"content-type": "application/json"}
    elif bodies == ["text"]:
        body, implied = item["text"].encode(), {"content-type": "text/plain; charset=utf-8"}
    elif bodies == ["base64"]:
        body = base64.b64decode(item["base64"], validate=True)
    if body or implied:
        implied = {"content-length": str(len(body)), **implied}
    given = dict(headers)
    headers += [(name, value) for name, value in implied.items() if name not in given]
    try:
        body = b"".join(Decoder(given.get("content-encoding", "")).feed(body))
    except Refused as error:
        raise ValueError(str(error)) from None
    return Response(int(item.get("status", 200)), headers, body)


def _headers(given: Any) -> list[tuple[str, str]]:
    pairs = list(given.items() if isinstance(given, dict) else given)
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        raise ValueError("the names and values of headers are text")
    return [(name.lower(), value) for name, value in pairs]


def _spelt(url: str) -> str:
    """In the one spelling that requests are compared in."""
    return rules.parse_target(url.removesuffix("*")).url + ("*" if url.endswith("*") else "")


async def perform(
    frame: fetch_wire.Fetch,
    headers: list[tuple[str, str]],
    known: Sequence[Mock],
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


def _answer(known: Sequence[Mock], step: Step, blanker: Blanker) -> Response:
    method, url = step.method, step.target.url
    spellings = (url, blanker.blank(url))  # what `engine test --record` wrote has no secrets
    mock = next(
        (item for item in reversed(known) if any(item.fits(method, text) for text in spellings)), None
    )
    if mock is None:
        raise Failure("unmocked", f"no mock answers {method} {url}")
    if mock.response is None:
        raise Failure(mock.error, "the mock says so")
    return mock.response

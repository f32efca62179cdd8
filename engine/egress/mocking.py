"""Mocks as people write them → as an egress process answers from them: `engine test --mock FILE`, and `fn.mock(…)` of `engine.testing`.

A mock is a map: `method`, `url`, and of the answer `status` (200), `headers` ({}), and one of `json`, `text` and
`base64`; or `error`, one of `sandbox.fetch_wire.FAILURES`. The last one that fits answers; `*` is any method, and a
URL that ends in `*` is every URL that begins so. An answer is an `httpx.Response`, which is where its body gets its
headers from: what a mock can say is what httpx can. It is read on the supervisor's side: an egress process does without httpx.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import httpx

from engine.egress import rules
from engine.egress.blanking import BLANK
from engine.egress.control import MockAnswer
from engine.egress.rules import Refused
from sandbox import fetch_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEYS: Final = frozenset({"method", "url", "status", "headers", "json", "text", "base64", "error"})


def read(items: Sequence[Any]) -> list[MockAnswer]:
    """All of them. Raises `ValueError` naming the one that is wrong."""
    found = []
    for at, item in enumerate(items):
        try:
            found.append(_read_one(item))
        except (ValueError, TypeError, KeyError, AttributeError, httpx.HTTPError) as error:
            raise ValueError(f"mock {at + 1}: {error}") from None
    return found


def _read_one(item: Any) -> MockAnswer:
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
        return MockAnswer(method, spelt, failure, 0, [], b"")
    response = _response(item)
    return MockAnswer(
        method, spelt, "", response.status_code, response.headers.multi_items(), response.content
    )


def _response(item: dict[str, Any]) -> httpx.Response:
    body = {name: item[name] for name in ("json", "text") if item.get(name) is not None}
    if item.get("base64") is not None:
        body["content"] = base64.b64decode(item["base64"], validate=True)
    if len(body) > 1:
        raise ValueError("only one of json, text and base64 can be the body")
    return httpx.Response(int(item.get("status", 200)), headers=item.get("headers"), **body)


def _spelt(url: str) -> str:
    """In the one spelling that requests are compared in."""
    return rules.parse_target(url.removesuffix("*")).url + ("*" if url.endswith("*") else "")

from __future__ import annotations

import base64
import gzip
from typing import Any

import httpx
import pytest

from engine.egress.mocking import read

URL = "https://api.example.com/"
ZIPPED = base64.b64encode(gzip.compress(b"small")).decode()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": 204, "headers": {"X-A": "b"}},
        {"json": {"name": "Zoë", "list": [1, 2.5, None]}},
        {"json": False},
        {"json": [], "headers": {"CONTENT-TYPE": "application/problem+json"}},
        {"text": ""},
        {"text": "plain", "headers": {"Content-Length": "5"}},
        {"text": "<a>", "headers": [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"], ["Content-Type", "text/html"]]},
        {"base64": ""},
        {"base64": "AAEC/w=="},
        {"base64": ZIPPED, "headers": {"Content-Encoding": "gzip"}},
    ],
)  # fmt: skip
def test_an_answer_is_what_httpx_makes_of_it(answer: dict[str, Any]) -> None:
    body = {name: value for name, value in answer.items() if name in {"json", "text"}}
    if "base64" in answer:
        body["content"] = base64.b64decode(answer["base64"])
    expected = httpx.Response(answer.get("status", 200), headers=answer.get("headers"), **body)
    (mock,) = read([{"url": URL, **answer}])
    assert (mock.error, mock.status) == ("", expected.status_code)
    assert mock.headers == expected.headers.multi_items()
    assert mock.body == expected.content


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "x"},
        {"headers": {"X-A": 1}},
        {"headers": ["X-A"]},
        {"headers": 1},
        {"text": 1},
        {"json": float("nan")},
        {"base64": "no base64"},
        {"base64": "AAEC", "headers": {"Content-Encoding": "gzip"}},
        {"text": "a", "base64": "AAEC"},
    ],
)
def test_one_that_can_not_be_is_named(answer: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^mock 2: "):
        read([{"url": URL}, {"url": URL, **answer}])

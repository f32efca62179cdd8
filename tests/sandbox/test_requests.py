"""What a function says → what is sent: compared with httpx, whose meaning code that people have relies on."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from sandbox import fetch_wire
from sandbox.runtime.errors import FetchError
from sandbox.runtime.request import prepare
from sandbox.runtime.response import Headers, Response

URL = "https://api.example.com/v1"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"params": {"a": 1, "b": "x y&z=ü/", "c": [1, 2], "d": True, "e": None, "f": 1.5}},
        {"params": [("a", "1"), ("a", "2")]},
        {"json": {"a": [1, 2.5, None, True, "ü\u2028\"'"]}},
        {"json": []},
        {"json": "text"},
        {"data": {"a": "1", "b": ["2", "3"], "c": "x y&=ü"}},
        {"content": b"\x00raw"},
        {"content": "text ü"},
        {"json": {"a": 1}, "headers": {"content-type": "application/vnd.api+json"}},
        {"headers": {"X-A": "1", "Authorization": "Bearer x"}},
    ],
)
def test_a_request_is_encoded_as_httpx_does_it(arguments: dict[str, Any]) -> None:
    ours, theirs = prepare(URL, "POST", **arguments), httpx.Request("POST", URL, **arguments)
    assert ours.body == theirs.read()
    assert dict(httpx.URL(ours.url).params) == dict(theirs.url.params)
    assert httpx.URL(ours.url).params.multi_items() == theirs.url.params.multi_items()
    sent = {name.lower(): value for name, value in fetch_wire.unpack_headers(ours.headers)}
    for name, value in theirs.headers.items():
        if name not in {"host", "content-length"}:
            assert sent[name] == value


def test_a_multipart_form_is_what_httpx_makes_of_it() -> None:
    arguments: dict[str, Any] = {
        "data": {"field": "value"},
        "files": {"a": ('na"me\r\n.txt', b"content", "text/plain"), "b": ("b.bin", b"\x00\x01")},
    }
    ours = prepare(URL, "POST", **arguments)
    (kind,) = (value for name, value in fetch_wire.unpack_headers(ours.headers) if name == "Content-Type")
    boundary = re.fullmatch(r"multipart/form-data; boundary=([0-9a-f]{32})", kind)
    assert boundary is not None
    theirs = httpx.Request("POST", URL, headers={"Content-Type": kind}, **arguments)
    assert ours.body == theirs.read()


def test_params_join_what_the_url_has() -> None:
    assert prepare("https://a/?x=1#f", params={"y": 2}).url == "https://a/?x=1&y=2#f"
    assert prepare("https://a/?", params="y=2").url == "https://a/?y=2"


@pytest.mark.parametrize(
    "arguments",
    [
        {"json": {}, "content": b""}, {"json": 1, "data": {"a": 1}}, {"content": 1}, {"content": {"a": 1}}, {"data": 5},
        {"params": 5}, {"params": {"a": {}}}, {"headers": {"a": []}}, {"headers": {1: "a"}}, {"json": {1, 2}},
        {"files": {"a": 1}}, {"files": {"a": ("n", b"x", "a\r\nb")}},
    ],
)  # fmt: skip
def test_what_can_not_be_sent_is_a_type_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        prepare(URL, "POST", **arguments)


def test_a_number_that_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        prepare(URL, "POST", json=float("nan"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"content": bytes(fetch_wire.REQUEST_BODY_BYTES_MAX + 1)},
        {"headers": {f"X-{at}": "y" for at in range(fetch_wire.HEADERS_MAX + 1)}},
        {"headers": {"X": "y" * fetch_wire.HEADER_BYTES_MAX}},
        {"params": {"a": "x" * fetch_wire.URL_CHARS_MAX}},
    ],
)
def test_what_is_too_much_is_refused_before_it_is_sent(arguments: dict[str, Any]) -> None:
    with pytest.raises(FetchError):
        prepare(URL, "POST", **arguments)


def test_a_response_reads_as_text_json_and_bytes() -> None:
    response = Response(
        200,
        URL,
        [("Content-Type", "application/json; charset=latin-1"), ("X", "1"), ("x", "2")],
        b'{"a":"\xe4"}',
        0.5,
    )
    assert (response.status, response.status_code, response.ok, response.elapsed_ms) == (
        200,
        200,
        True,
        500.0,
    )
    assert (response.text, response.json(), response.content) == ('{"a":"ä"}', {"a": "ä"}, b'{"a":"\xe4"}')
    assert response.headers["X"] == response.headers.get("x") == "1, 2"
    assert response.headers.get_list("x") == ["1", "2"]
    assert "content-type" in response.headers
    assert response.headers.get("nothing", 5) == 5
    assert response.raise_for_status() is response


@pytest.mark.parametrize(
    "kind", ["text/plain; charset=nonsense", "text/plain; charset=hex", "text/plain; charset=", "text/plain"]
)
def test_a_body_that_can_not_be_decoded_is_shown_all_the_same(kind: str) -> None:
    assert Response(200, URL, [("Content-Type", kind)], b"a\xff", 0.0).text == "a\ufffd"


def test_headers_are_read_only() -> None:
    with pytest.raises(TypeError):
        Headers([("a", "b")])["a"] = "c"  # type: ignore[index]

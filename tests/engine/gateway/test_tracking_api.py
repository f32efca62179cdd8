"""The tracking API over HTTP, on a real daemon: who may send what, and what is answered."""

from __future__ import annotations

import gzip
import http.client
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from gateways import ask, basic
from running import new_id, wait_until

if TYPE_CHECKING:
    from gateways import HttpDaemon, SentFrom

SUCCESS = (200, {"success": True})
KINDS = ("identify", "track", "page", "screen", "group", "alias", "delete")
TRIES = 3
"""A machine that is busy with other tests may be late itself; a gateway that is late is so each time."""


def event(**fields: Any) -> dict[str, Any]:
    return {"userId": "u", "event": "Seen", "messageId": new_id(), **fields}


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_has_an_endpoint(source: SentFrom, kind: str) -> None:
    sent = event(properties={"kind": kind})
    status, headers, answer = source.post(f"/v1/{kind}", sent)
    assert (status, answer) == SUCCESS
    assert headers["content-type"] == "application/json"
    [arrived] = source.events()
    assert arrived.items() >= {**sent, "type": kind}.items()


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/import", "/v1/b"])
def test_a_batch_has_events_of_any_type(source: SentFrom, path: str) -> None:
    batch = [event(type=kind) for kind in KINDS]
    assert source.post(path, {"batch": batch})[::2] == SUCCESS
    assert {item["messageId"] for item in source.events()} == {item["messageId"] for item in batch}


@pytest.mark.parametrize("form", ["basic", "body", "batch", "item"])
def test_a_write_key_comes_in_a_header_or_in_the_body(source: SentFrom, form: str) -> None:
    sent: dict[str, Any] = event(type="track")
    headers = basic(source.key) if form == "basic" else {}
    path = "/v1/track"
    if form == "body":
        sent["writeKey"] = source.key
    elif form == "batch":
        path, sent = "/v1/batch", {"batch": [sent], "writeKey": source.key}
    elif form == "item":
        path, sent = "/v1/batch", {"batch": [{**sent, "writeKey": source.key}]}
    status, _, answer = ask(source.daemon.http, "POST", path, json.dumps(sent), headers)
    assert (status, answer) == SUCCESS
    [arrived] = source.events()
    assert "writeKey" not in arrived


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("nobody's"),
        {"authorization": "Basic !"},
        {"authorization": "Basic bm8tY29sb24="},
        {"authorization": "Bearer x"},
    ],
)
def test_without_a_known_write_key_nothing_is_taken(served: HttpDaemon, headers: dict[str, str]) -> None:
    status, _, answer = ask(served.http, "POST", "/v1/track", json.dumps(event()), headers)
    assert (status, answer["code"]) == (401, "unauthorized")


def test_a_new_key_is_known_and_a_removed_one_forgotten_within_a_second(source: SentFrom) -> None:
    for _ in range(TRIES):
        began = time.monotonic()
        old = source.key
        source.key = source.client.sources.update(source.name, add_key=True)["write_keys"][1]
        wait_until(lambda: source.post("/v1/track", event())[0] == 200)
        source.client.sources.update(source.name, remove_key=old)
        source.key, new = old, source.key
        wait_until(lambda: source.post("/v1/track", event())[0] == 401)
        source.key = new
        if time.monotonic() - began < 1:
            break
    else:
        pytest.fail("it took longer each time")
    source.client.sources.remove(source.name)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"]
)
def test_a_body_is_read_by_what_it_is(source: SentFrom, encoding: str, content_type: str) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding]
    headers = {"content-encoding": encoding, "content-type": content_type}
    assert source.post("/v1/track", pack(json.dumps(event()).encode()), headers)[::2] == SUCCESS


def padded(size: int, **fields: Any) -> bytes:
    """An event whose JSON has exactly so many bytes."""
    bare = json.dumps(event(**fields, pad="")).encode()
    return bare.replace(b'"pad": ""', b'"pad": "' + b"x" * (size - len(bare)) + b'"')


def test_a_single_call_has_32_kib(source: SentFrom) -> None:
    fitting = padded(32 * 1024)
    assert source.post("/v1/track", fitting)[::2] == SUCCESS
    for body, headers in (
        (padded(32 * 1024 + 1), {}),
        (gzip.compress(padded(32 * 1024 + 1)), {"content-encoding": "gzip"}),
        (gzip.compress(bytes(2_000_000)), {"content-encoding": "gzip"}),
    ):
        status, _, answer = source.post("/v1/track", body, headers)
        assert (status, answer["code"]) == (400, "too_large")


def test_a_batch_has_500_kib_and_2500_events(source: SentFrom) -> None:
    events = [event(type="track") for _ in range(2_500)]
    assert source.post("/v1/batch", {"batch": events})[::2] == SUCCESS
    status, _, answer = source.post("/v1/batch", {"batch": [*events, event(type="track")]})
    assert (status, answer["code"]) == (400, "invalid_request")
    items = b",".join(padded(25_000, type="track") for _ in range(20))
    body = b'{"batch":[' + items + b"]}"
    fitting = body + b" " * (500 * 1024 - len(body))
    assert source.post("/v1/batch", fitting)[::2] == SUCCESS
    status, _, answer = source.post("/v1/batch", fitting + b" ")
    assert (status, answer["code"]) == (400, "too_large")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"a=b", b"\xff"])
def test_what_is_no_event_is_refused(source: SentFrom, body: bytes) -> None:
    assert source.post("/v1/track", body)[0] == 400


def test_an_event_that_can_not_be_taken_is_named_and_the_others_of_its_batch_are_taken(
    source: SentFrom,
) -> None:
    status, _, answer = source.post("/v1/batch", {"batch": [event(type="track"), event(type="shout")]})
    assert (status, answer["code"], answer["accepted"]) == (400, "invalid_event", 1)
    assert answer["message"].startswith("event 1: 'shout' is no type of event")
    assert len(source.events()) == 1


def test_an_event_that_is_sent_again_is_acknowledged_and_not_delivered_again(source: SentFrom) -> None:
    source.client.deploy(source.name, "def on_track(event, settings): pass", sources=[source.name])
    sent = event()
    for _ in range(3):
        assert source.post("/v1/track", sent)[::2] == SUCCESS
    wait_until(lambda: source.client.show(source.name)["delivered"] == 1)
    assert source.client.show(source.name)["duplicates"] == 2


def test_one_full_destination_keeps_nobody_waiting_and_what_it_can_not_hold_is_on_its_shelf(
    source: SentFrom,
) -> None:
    for name, limits in ((f"{source.name}-full", {"queue_events": 2}), (f"{source.name}-open", {})):
        code = "def on_track(event, settings): pass"
        source.client.deploy(name, code, limits=limits, sources=[source.name])
        source.client.pause(name)
    assert source.post("/v1/batch", {"batch": [event(type="track") for _ in range(5)]})[::2] == SUCCESS
    full, other = (source.client.show(f"{source.name}-{name}") for name in ("full", "open"))
    assert (full["stored"], full["shelved"]["dead"]) == (2, 3)
    assert other["stored"] == 5


def test_a_page_of_any_origin_may_send(source: SentFrom) -> None:
    status, headers, _ = ask(
        source.daemon.http,
        "OPTIONS",
        "/v1/track",
        headers={"origin": "https://shop.example", "access-control-request-method": "POST"},
    )
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
    assert "POST" in headers["access-control-allow-methods"]
    for name in ("authorization", "content-type", "content-encoding"):
        assert name in headers["access-control-allow-headers"]
    for document in (event(), {}):
        assert source.post("/v1/track", document)[1]["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/track", 405),
        ("POST", "/v1/unknown", 404),
        ("POST", "/v1/track/", 404),
        ("OPTIONS", "/v1/x", 404),
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
    ],
)
def test_elsewhere_and_otherwise_there_is_nothing(
    served: HttpDaemon, method: str, path: str, status: int
) -> None:
    assert ask(served.http, method, path)[0] == status


def test_requests_follow_one_another_on_a_connection(source: SentFrom) -> None:
    connection = http.client.HTTPConnection(source.daemon.http, timeout=10)
    for _ in range(3):
        connection.request("POST", "/v1/track", json.dumps(event()), basic(source.key))
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"success":true}')
    connection.close()

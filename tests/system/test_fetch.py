"""`fetch` through the whole engine: a deployed function, a real egress process, real servers on loopback."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from running import Daemon, wait_until
from upstreams import Request, Server, reply, silent_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.client import Client


COUNT = itertools.count()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    daemon.start("--allow", "127.0.0.1:*")
    yield daemon
    assert daemon.stop() == 0, daemon.log.read_text()[-2000:]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"/ok": reply(b'{"id": 7}', "200 OK", "Content-Type: application/json")}) as server:
        yield server


def track(number: int = 0, **properties: Any) -> dict[str, Any]:
    message_id = f"m{number}.{next(COUNT)}"
    return {"type": "track", "event": "x", "userId": "u", "messageId": message_id, "properties": properties}


def deliver(
    client: Client, name: str, source: str, events: list[dict[str, Any]], **options: Any
) -> dict[str, int]:
    client.deploy(name, source, **options)
    return dict(client.submit(name, events, wait=True).by_code)


def failures(client: Client, name: str) -> list[dict[str, Any]]:
    return [line for line in client.logs(name) if line["error"]]


SYNC = """
def on_track(event, settings):
    answer = fetch(settings.url, "POST", json={"event": event["event"]}, headers={"X-Key": settings.key})
    assert answer.status == 200 and answer.ok and answer.json() == {"id": 7}
    assert answer.headers["CONTENT-TYPE"] == "application/json" and answer.url == settings.url
    assert answer.elapsed_ms > 0 and answer.text == '{"id": 7}'
"""


@pytest.mark.parametrize(
    "source", [SYNC, SYNC.replace("def on", "async def on").replace("= fetch", "= await fetch")]
)
def test_a_handler_calls_an_api(client: Client, server: Server, source: str) -> None:
    before = len(server.requests)
    settings = {"url": server.url("/ok"), "key": "k"}
    assert deliver(client, "api", source, [track(at) for at in range(20)], settings=settings) == {
        "delivered": 20
    }
    sent = server.requests[before:]
    assert len(sent) == 20
    assert {(item.line, item.body, item.header("X-Key"), item.header("Content-Type")) for item in sent} == {
        ("POST /ok HTTP/1.1", b'{"event":"x"}', "k", "application/json")
    }


def test_async_handlers_wait_together(client: Client, server: Server) -> None:
    async def late(_request: Request, _writer: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0.2)
        return reply(b"ok")

    server.answers["/late"] = late
    source = """
import asyncio
async def on_track(event, settings):
    answers = await asyncio.gather(*[fetch(settings.url) for _ in range(3)])
    assert [answer.status for answer in answers] == [200] * 3
"""
    client.deploy("together", source, settings={"url": server.url("/late")})
    begun = time.monotonic()
    assert client.submit("together", [track(at) for at in range(10)], wait=True).delivered == 10
    assert time.monotonic() - begun < 5  # 30 fetches, one after the other, would take 6 s


def test_both_kinds_of_handler_in_one_module(client: Client, server: Server) -> None:
    source = """
def on_identify(event, settings):
    assert fetch(settings.url).status == 200
async def on_track(event, settings):
    assert (await fetch(settings.url)).status == 200
"""
    events = [track(1), {"type": "identify", "userId": "u", "messageId": "i"}, track(2)]
    assert deliver(client, "mixed", source, events, settings={"url": server.url("/ok")}) == {"delivered": 3}


@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [
        ("fetch(settings.dead)", "retry", "ConnectionFailed"),
        ("fetch(settings.silent, timeout_ms=100)", "retry", "FetchTimeout"),
        ("fetch('http://10.0.0.1/')", "bad_request", "AddressRefused"),
        ("fetch('http://127.1/')", "bad_request", "AddressRefused"),
        ("fetch('file:///etc/passwd')", "bad_request", "AddressRefused"),
        ("fetch(settings.url, headers={'X': 'a\\r\\nY: b'})", "bad_request", "FetchError"),
        ("fetch(settings.large)", "bad_request", "ResponseTooLarge"),
        ("fetch(settings.missing).raise_for_status()", "bad_request", "HTTPStatusError"),
        ("fetch(settings.broken).raise_for_status()", "retry", "HTTPStatusError"),
        ("[fetch(settings.url) for _ in range(21)]", "bad_request", "TooManyRequests"),
        ("fetch(settings.url, content='x' * 3_000_000)", "bad_request", "FetchError"),
    ],
)
def test_what_is_not_caught_has_the_code_of_its_class(
    client: Client, server: Server, call: str, code: str, kind: str
) -> None:
    listener, silent = silent_port()
    closed, dead = silent_port()
    closed.close()
    server.answers["/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"
    server.answers["/broken"] = reply(b"", "503 Service Unavailable")
    settings = {
        "dead": f"http://127.0.0.1:{dead}/", "silent": f"http://127.0.0.1:{silent}/", "url": server.url("/ok"),
        "large": server.url("/large"), "missing": server.url("/nothing"), "broken": server.url("/broken"),
    }  # fmt: skip
    with listener:
        (result,) = client.test(f"def on_track(event, settings):\n    {call}\n", [track()], settings=settings)
    assert result.error is not None
    assert (result.error["code"], result.error["type"], result.error["line"]) == (code, kind, 2)


def test_errors_can_be_caught(client: Client) -> None:
    source = """
from engine.function import AddressRefused, FetchError
def on_track(event):
    try:
        fetch("http://169.254.169.254/latest")
    except AddressRefused as error:
        assert isinstance(error, FetchError)
        return str(error)
"""
    (result,) = client.test(source, [track()])
    assert result.ok
    assert "link-local" in result.result
    assert "egress_allow" in result.result


def test_a_fetch_that_is_never_awaited_fails_with_its_line(client: Client, server: Server) -> None:
    source = "async def on_track(event, settings):\n    x = 1\n    fetch(settings.url)\n"
    before = len(server.requests)
    (result,) = client.test(source, [track()], settings={"url": server.url("/ok")})
    assert not result.ok
    assert (result.error["code"], result.error["line"]) == ("bad_request", 3)
    assert "never awaited" in result.error["message"]
    assert len(server.requests) == before


def test_a_deadline_in_a_fetch_leaves_the_channel_in_step(client: Client, server: Server) -> None:
    async def late(request: Request, _writer: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0.6 if request.body == b"1" else 0)
        return reply(b"answer to " + request.body)

    server.answers["/paced"] = late
    source = """
def on_track(event, settings):
    number = str(event["properties"]["n"])
    try:
        answer = fetch(settings.url, "POST", content=number, timeout_ms=10_000).text
    except FetchTimeout:
        while True:
            pass
    assert answer == "answer to " + number, answer
"""
    client.deploy("paced", source, settings={"url": server.url("/paced")}, limits={"timeout_ms": 300})
    result = client.submit("paced", [track(at, n=at % 3) for at in range(9)], wait=True)
    assert dict(result.by_code) == {"delivered": 6, "timeout": 3}


def test_a_fetch_never_outlasts_its_invocation(client: Client) -> None:
    listener, port = silent_port()
    with listener:
        source = (
            f"async def on_track(event):\n    await fetch('http://127.0.0.1:{port}/', timeout_ms=60_000)\n"
        )
        begun = time.monotonic()
        (result,) = client.test(source, [track()], limits={"timeout_ms": 300})
    assert result.error["code"] in {"timeout", "retry"}
    assert time.monotonic() - begun < 15


def test_a_failure_carries_its_requests_without_secrets(client: Client, server: Server) -> None:
    server.answers["/refuse"] = reply(
        b'{"error": "bad key sk-very-secret"}', "401 Unauthorized", "Set-Cookie: a=b"
    )
    source = """
async def on_track(event, settings):
    answer = await fetch(settings.url, "POST", json={"key": settings.key}, headers={"Authorization": f"Bearer {settings.key}"})
    if answer.status == 401:
        raise ValueError("refused")
"""
    settings = {"url": server.url("/refuse"), "key": "sk-very-secret"}
    assert deliver(client, "traced", source, [track()], settings=settings) == {"bad_request": 1}
    (line,) = failures(client, "traced")
    (request,) = line["requests"]
    assert (request["method"], request["status"]) == ("POST", 401)
    assert request["request_body"] == '{"key":"[secret]"}'
    assert request["response_body"] == '{"error": "bad key [secret]"}'
    assert "sk-very" not in str(line)
    assert dict(request["request_headers"])["Authorization"] == "[secret]"
    assert dict(request["response_headers"])["Set-Cookie"] == "[secret]"


def test_a_batch_may_fetch_more(client: Client, server: Server) -> None:
    source = """
def on_batch(events, settings):
    for _ in range(24):
        assert fetch(settings.url).ok
"""
    events = [track(at) for at in range(2)]
    options: dict[str, Any] = {"settings": {"url": server.url("/ok")}, "limits": {"batch_size": 2}}
    assert deliver(client, "batching", source, events, **options) == {"delivered": 2}
    more = source.replace("24", "25")
    assert deliver(client, "batching", more, [track(at) for at in (5, 6)], **options) == {"bad_request": 2}


def test_answers_are_counted_by_class(client: Client, server: Server) -> None:
    source = "def on_track(event, settings):\n    fetch(settings.url + event['properties']['path'])\n"
    events = [track(path=path) for path in ("/ok", "/ok", "/nothing")]
    deliver(client, "counted", source, events, settings={"url": server.url("")})
    by_class = {"2xx": 2, "4xx": 1}
    wait_until(lambda: client.show("counted")["responses"] == by_class)
    (health,) = client.health("counted")
    assert health["responses"] == health["windows"]["1m"]["responses"] == by_class
    (used,) = [row for row in client.usage() if row["destination"] == "counted"]
    assert (used["fetches"], used["sent_bytes"], used["received_bytes"]) == (3, 0, 2 * len(b'{"id": 7}'))


def egress_launcher(daemon: Daemon) -> psutil.Process:
    assert daemon.process is not None
    children = psutil.Process(daemon.process.pid).children()
    return next(child for child in children if "engine.egress" in child.cmdline())


def test_the_egress_is_back_when_all_of_it_has_died_and_no_event_pays_for_it(
    tmp_path: Any, server: Server
) -> None:
    # With the launcher dies its process. Of one process of several: test_egress.py.
    daemon = Daemon(tmp_path)
    daemon.start("--allow", "127.0.0.1:*")
    client = daemon.client()
    source = "async def on_track(event, settings):\n    assert (await fetch(settings.url)).ok\n"
    client.deploy("going", source, settings={"url": server.url("/ok")})
    assert client.submit("going", [track()], wait=True).delivered == 1
    outcomes: list[dict[str, int]] = []

    def load() -> None:
        with daemon.client() as own:
            for first in range(1, 200, 10):
                result = own.submit("going", [track(first + n) for n in range(10)], wait=True)
                outcomes.append(dict(result.by_code))

    thread = threading.Thread(target=load)
    thread.start()
    wait_until(lambda: len(outcomes) > 3)
    os.kill(egress_launcher(daemon).pid, signal.SIGKILL)
    thread.join(30)
    assert outcomes == [{"delivered": 10}] * 20
    assert len(egress_launcher(daemon).children()) == 1
    assert list(client.logs("going")) == []
    client.close()
    assert daemon.stop() == 0

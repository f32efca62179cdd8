"""What a client may do to a connection, byte by byte."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from gateways import basic

from engine.gateway import connection as limits
from engine.gateway.asgi import answer
from engine.gateway.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateways import HttpDaemon, SentFrom

    from engine.gateway.asgi import Receive, Scope, Send


class Raw:
    """A socket that says what it likes."""

    def __init__(self, http: str) -> None:
        host, _, port = http.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def status(self) -> int:
        """Of the next answer; 0 if there is none before the end."""
        line = self.socket.makefile("rb").readline()
        return int(line.split()[1]) if line else 0


@pytest.fixture
def raw(served: HttpDaemon) -> Iterator[Raw]:
    raw = Raw(served.http)
    yield raw
    raw.socket.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"CONNECT host:80 HTTP/1.1\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_told_so_and_hung_up_on(raw: Raw, data: bytes) -> None:
    raw.send(data)
    assert raw.status() == 400
    assert raw.socket.recv(65536) in {b"", b"this is no HTTP request"}


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 101 + b"\r\n",
    ],
)
def test_a_head_that_is_too_long_is_refused(raw: Raw, head: bytes) -> None:
    raw.send(head)
    assert raw.status() == 431


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nx: ", b"GET /"])
def test_a_head_without_end_is_refused_before_it_takes_memory(raw: Raw, start: bytes) -> None:
    raw.send(start)
    with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012  it is hung up on somewhere in here
        for _ in range(1_000):
            raw.send(b"a" * 10_000)


def test_a_body_in_very_small_chunks_is_refused(raw: Raw) -> None:
    raw.send(b"POST /v1/track HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012  it is hung up on somewhere in here
        for _ in range(1_000):
            raw.send(b"1\r\na\r\n" * 1_000)


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(source: SentFrom) -> None:
    raw = Raw(source.daemon.http)
    key = basic(source.key)["authorization"].encode()
    head = b"POST /v1/track HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 27\r\nAuthorization: " + key
    raw.send(head + b"\r\n\r\n")
    assert raw.status() == 100
    raw.send(b'{"userId":"u","event":"a" }')
    answers = b""
    while b"success" not in answers:
        answers += raw.socket.recv(65536)
    raw.socket.close()


def test_a_client_that_sends_no_more_gets_its_answer(source: SentFrom) -> None:
    raw = Raw(source.daemon.http)
    body = b'{"userId":"u","event":"e"}'
    key = basic(source.key)["authorization"].encode()
    head = b"POST /v1/track HTTP/1.1\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n" % (key, len(body))
    raw.send(head + body)
    raw.socket.shutdown(socket.SHUT_WR)
    assert raw.status() == 200
    raw.socket.close()


# --- What takes time has shorter limits here, and a server in this process


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await answer(send, 200, b"ok", [])


async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(10_000):
        await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})


async def talk(app: Any, data: bytes, *, is_read: bool = True, connections: int = 1) -> bytes:
    """What is answered until it is hung up on."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app, listener)
    await server.start()
    others = [await asyncio.open_connection(*listener.getsockname()) for _ in range(connections - 1)]
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(data)
    answered = b""
    async with asyncio.timeout(10):
        if is_read:
            answered = await reader.read()
        else:
            while server.connections:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.01)
    for _, other in [*others, (reader, writer)]:
        other.close()
    await server.stop()
    return answered


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_S_MAX", "BODY_S_MAX", "WRITE_S_MAX"):
        monkeypatch.setattr(limits, name, 0.05)
    monkeypatch.setattr("engine.gateway.server.SWEEP_S", 0.02)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"GET / HT", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b""),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", b"HTTP/1.1 408 "),
    ],
)
def test_a_client_that_is_too_slow_is_hung_up_on(data: bytes, expected: bytes) -> None:
    assert asyncio.run(talk(echo, data)).startswith(expected)


@pytest.mark.usefixtures("hurried")
def test_a_client_that_does_not_take_its_answer_is_hung_up_on() -> None:
    asyncio.run(talk(endless, b"GET / HTTP/1.1\r\n\r\n", is_read=False))


def test_one_connection_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONNECTIONS_MAX", 2)
    told = asyncio.run(talk(echo, b"", connections=3))
    assert told.startswith(b"HTTP/1.1 503 ")

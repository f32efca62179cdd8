"""One connection: what a response may look like, and when the connection is used again."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from running import wait_until
from test_fetching import code, run
from upstreams import Request, Server, reply, silent_port

from engine.egress import connection, fetching, upstream
from engine.egress.connection import Connection
from engine.egress.destinations import Destination, Table
from engine.egress.rules import Rules, parse_pattern, parse_target
from engine.egress.trace import Trace
from sandbox import fetch_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def opened_by(server: Server, path: str, answer: Any, **options: Any) -> tuple[Any, int]:
    """What came of the second of two fetches of `path`, and how many connections both took."""
    server.answers[path] = answer
    before = server.opened
    outcome = run(server.url(path), times=2, **options)
    return outcome, server.opened - before


@pytest.mark.parametrize(
    ("answer", "body", "connections"),
    [
        (reply(b"hello"), b"hello", 1),
        (b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", b"", 1),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello", 1),
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"hello", 1),
        (CHUNKED + b"2;a=b\r\nhe\r\n3 \r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n", b"hello", 1),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + reply(b"hello"), b"hello", 1),
        (reply(b"hello", "200 OK", "Connection: close"), b"hello", 2),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", 2),
        (reply(b"hello") + reply(b"smuggled"), b"hello", 2),
        (reply(b"hello") + b"garbage", b"hello", 2),
    ],
)  # fmt: skip
def test_what_a_response_may_look_like_and_whether_its_connection_is_used_again(
    server: Server, answer: bytes, body: bytes, connections: int
) -> None:
    outcome, opened = opened_by(server, "/shape", answer)
    assert (outcome.failure, outcome.body, outcome.is_complete) == (None, body, True)
    assert outcome.header("x-trailer") is outcome.header("link") is None
    assert opened == connections


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "isn't HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "isn't HTTP",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", "isn't HTTP"),
        (b"HTTP/1.1 200 OK\r\nX\x00: 1\r\n\r\n", "isn't HTTP"),
        (CHUNKED + b"zz\r\nhello\r\n", "isn't HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "protocol"),
        (b"SSH-2.0-OpenSSH\r\n", "isn't HTTP"),
    ],
)
def test_what_is_no_response_fails(server: Server, answer: bytes, text: str) -> None:
    outcome, _ = opened_by(server, "/wrong", answer)
    assert code(outcome) == "connection"
    assert text in str(outcome.failure)


def closing(data: bytes) -> Any:
    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def test_a_body_of_unknown_length_ends_with_its_connection(server: Server) -> None:
    outcome, opened = opened_by(server, "/until", closing(b"HTTP/1.1 200 OK\r\n\r\nhello"))
    assert (outcome.body, outcome.is_complete, opened) == (b"hello", True, 2)


@pytest.mark.parametrize(
    "begun", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n"]
)
def test_a_body_of_known_length_that_ends_early_is_no_answer(server: Server, begun: bytes) -> None:
    outcome, _ = opened_by(server, "/cut", closing(begun))
    assert (code(outcome), outcome.is_complete) == ("connection", False)
    assert "without a complete answer" in str(outcome.failure)


def test_the_answer_to_a_head_has_no_body_whatever_length_it_names(server: Server) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {fetch_wire.RESPONSE_BYTES_MAX + 1}\r\n\r\n".encode()
    outcome, _ = opened_by(server, "/head", head, method="HEAD")
    assert (outcome.failure, outcome.body, outcome.is_complete) == (None, b"", True)
    assert outcome.header("content-length") == str(fetch_wire.RESPONSE_BYTES_MAX + 1)


def test_headers_come_through_as_they_were_written(server: Server) -> None:
    answer = reply(b"", "200 OK", "X-Empty:", "X-Name: Zo\u00eb").replace("\u00eb".encode(), b"\xc3\xab")
    outcome, _ = opened_by(server, "/names", answer + b"")
    assert (outcome.header("x-empty"), outcome.header("x-name")) == ("", "Zo\u00eb")
    outcome, _ = opened_by(server, "/names", reply(b"", "200 OK", "X-Name: Zo#").replace(b"#", b"\xeb"))
    assert outcome.header("x-name") == "Zo\u00eb"


# --- What isn't body


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 O", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        CHUNKED + b"5;", CHUNKED + b"5\r\nhello\r\n0\r\nX: ",
    ],
)  # fmt: skip
def test_what_is_not_body_is_bounded_however_slowly_it_comes(server: Server, endless: bytes) -> None:
    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        more = endless if b"103" in endless else b"a" * 1_000
        writer.write(endless)
        for _ in range(0, 10 * connection.FRAMING_BYTES_MAX, len(more)):
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(0)

    outcome, _ = opened_by(server, "/endless", answer)
    assert code(outcome) == "too_large"


def test_an_answer_that_is_not_taken_is_not_read(server: Server) -> None:
    # The bound is what a connection holds; what the kernel holds of it comes on top, on the server's side.
    async def main() -> tuple[int, int]:
        table, destination = known()
        trace = Trace(1, 0, "", "", [], b"", 0)
        target = parse_target(server.url("/much"))
        taken = await table.pool.take(destination, target, trace)
        await taken.send(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n", b"")
        await until(lambda: taken._is_paused)
        held = len(taken._body)
        read, is_end = 0, False
        while not is_end:
            data, is_end = await taken.read()
            read += len(data)
        table.pool.give_back(taken)
        await table.close()
        return held, read

    server.answers["/much"] = reply(bytes(4_000_000))
    held, read = uvloop.run(main())
    assert held < 2 * connection.UNREAD_BYTES_MAX
    assert read == 4_000_000


def test_a_body_that_comes_byte_by_byte_is_handed_on_in_one_piece(server: Server) -> None:
    async def drip(_request: Request, writer: asyncio.StreamWriter) -> bytes:
        writer.write(CHUNKED)
        for _ in range(100):
            writer.write(b"1\r\na\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        return b"0\r\n\r\n"

    outcome, _ = opened_by(server, "/drip", drip)
    assert (outcome.body, outcome.pieces) == (b"a" * 100, 1)


# --- Used again, or not


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  the condition is anything
            await asyncio.sleep(0.001)


def known(allow: str = "127.0.0.1:*") -> tuple[Table, Destination]:
    async def nothing(_host: str, _port: int) -> list[tuple[int, str]]:
        return [(socket.AF_INET, "127.0.0.1")]

    table = Table(find=nothing, tls=ssl.create_default_context())
    destination = table.get(1)
    destination.rules, destination.timeout_ms = Rules((parse_pattern(allow),)), 10_000
    return table, destination


class Nowhere:
    async def piece(self, _head: Any, _data: bytes, *, is_last: bool) -> None:
        pass


async def fetch(destination: Destination, url: str, method: str = "GET", timeout_ms: int = 5_000) -> Trace:
    frame = fetch_wire.Fetch(1, 1, method, url, b"", b"", timeout_ms, 0)
    trace = Trace(1, 0, "", "", [], b"", 0)
    await fetching.perform(frame, [], destination, trace, Nowhere())
    return trace


def test_a_connection_is_its_destinations_its_origins_and_its_rules_own(server: Server) -> None:
    server.answers["/mine"] = reply(b"ok")

    async def main() -> list[int]:
        table, first = known()
        second = table.get(2)
        second.rules, second.timeout_ms = first.rules, 10_000
        opened = []

        async def step(destination: Destination, host: str = "127.0.0.1") -> None:
            before = server.opened
            await fetch(destination, server.url("/mine", host))
            opened.append(server.opened - before)

        await step(first)
        await step(first)
        await step(second)
        first.rules = Rules((parse_pattern("127.0.0.1:*"),))
        await step(first)
        table.pool.source_address = "127.0.0.1"
        await step(first)
        await step(first)
        await table.close()
        return opened

    assert uvloop.run(main()) == [1, 0, 1, 1, 1, 0]


@pytest.mark.parametrize(("method", "is_repeated"), [("GET", True), ("PUT", True), ("POST", False)])
def test_a_kept_connection_that_is_closed_under_a_request_is_replaced_if_that_may_be_repeated(
    server: Server, method: str, is_repeated: bool
) -> None:
    seen: list[str] = []

    async def once_a_connection(_request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        # The second request on a connection is read, and the connection closed instead of an answer.
        peer = str(writer.get_extra_info("peername"))
        is_first = peer not in seen
        seen.append(peer)
        return reply(b"ok") if is_first else None

    server.answers["/going"] = once_a_connection

    async def main() -> str:
        table, destination = known()
        await fetch(destination, server.url("/going"), method)
        try:
            await fetch(destination, server.url("/going"), method)
        except fetching.Failure as failure:
            return failure.code
        finally:
            await table.close()
        return ""

    assert uvloop.run(main()) == ("" if is_repeated else "connection")
    assert len(set(seen)) == (2 if is_repeated else 1)


def test_what_is_idle_for_long_or_talks_unasked_is_closed(server: Server) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def remember(_request: Request, writer: asyncio.StreamWriter) -> bytes:
        writers.append(writer)
        return reply(b"ok")

    server.answers["/idle"] = remember

    async def main() -> None:
        table, destination = known()
        await fetch(destination, server.url("/idle"))
        table.pool.sweep(time.monotonic() + upstream.KEEP_ALIVE_S - 1)
        assert table.pool.open == 1
        table.pool.sweep(time.monotonic() + upstream.KEEP_ALIVE_S + 1)
        await table.close()
        assert table.pool.open == 0
        await fetch(destination, server.url("/idle"))
        server._loop.call_soon_threadsafe(writers[-1].write, reply(b"unasked"))
        await until(lambda: not table.pool.open)

    uvloop.run(main())


def test_calls_come_from_the_address_that_the_operator_chose(server: Server) -> None:
    peers: list[str] = []

    async def whence(_request: Request, writer: asyncio.StreamWriter) -> bytes:
        peers.append(writer.get_extra_info("peername")[0])
        return reply(b"ok")

    server.answers["/whence"] = whence

    async def main() -> str:
        table, destination = known()
        table.pool.source_address = "127.0.0.7"
        await fetch(destination, server.url("/whence"))
        table.pool.source_address = "192.0.2.1"  # no address of this machine
        try:
            await fetch(destination, server.url("/whence"))
        except fetching.Failure as failure:
            return failure.code
        finally:
            await table.close()
        return ""

    assert uvloop.run(main()) == "connection"
    assert peers == ["127.0.0.7"]


def test_a_request_that_is_given_up_takes_its_connection_with_it(server: Server) -> None:
    async def late(_request: Request, _writer: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0.2)
        return reply(b"late")

    server.answers["/late"], server.answers["/next"] = late, reply(b"next")

    async def main() -> bool:
        table, destination = known()
        task = asyncio.get_running_loop().create_task(fetch(destination, server.url("/late")))
        await until(lambda: bool(server.requests) and server.requests[-1].path == "/late")
        task.cancel()
        await asyncio.wait([task])
        trace = await fetch(destination, server.url("/next"))
        await table.close()
        return trace.status == 200 and table.pool.open == 0

    assert uvloop.run(main())


def test_descriptors_are_given_back_whatever_happens(server: Server) -> None:
    server.answers["/fine"] = reply(b"ok")
    listener, refusing = silent_port()
    listener.close()
    urls = [
        server.url("/fine"),
        f"http://127.0.0.1:{refusing}/",
        f"https://127.0.0.1:{server.port}/",  # which doesn't speak TLS: it waits
    ]

    async def main() -> list[str]:
        table, destination = known()
        codes = []
        for url in urls * 2:
            try:
                await fetch(destination, url, timeout_ms=200)
            except fetching.Failure as failure:
                codes.append(failure.code)
        await table.close()
        return codes

    assert uvloop.run(main()) == ["connection", "timeout"] * 2
    before = descriptors()
    uvloop.run(main())
    wait_until(lambda: descriptors() <= before)  # the server's are of this process, too


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_connection_outside_of_a_request_holds_nothing_of_the_last() -> None:
    made = Connection((), Rules(), lambda _: None)
    assert (made.status, made.headers, made.has_answered) == (0, [], False)

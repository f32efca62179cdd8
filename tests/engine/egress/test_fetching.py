"""One fetch against real servers on loopback, with a resolver that says what the test wants."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from upstreams import Request, Server, certificates, reply, silent_port

from engine.egress import fetching, upstream
from engine.egress.blanking import Blanker
from engine.egress.destinations import Table
from engine.egress.rules import Rules, Target, parse_pattern
from engine.egress.trace import Trace
from sandbox import fetch_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

ALLOWED = ("*.test:*", "127.0.0.1:*")
LOOPBACK = [(socket.AF_INET, "127.0.0.1")]


class Outcome:
    """What came of a fetch."""

    def __init__(self) -> None:
        self.head: fetching.Head | None = None
        self.body = b""
        self.pieces = 0
        self.is_complete = False
        self.failure: fetching.Failure | None = None
        self.trace = Trace(1, 0, "", "", [], b"", 0)

    async def piece(self, head: fetching.Head | None, data: bytes, *, is_last: bool) -> None:
        self.head = self.head or head
        self.body += data
        self.pieces += 1
        self.is_complete = is_last

    def header(self, name: str) -> str | None:
        assert self.head is not None
        return {key.lower(): value for key, value in self.head.headers}.get(name)


def run(
    url: str,
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    timeout_ms: int = 5_000,
    follow: bool = False,
    allow: Sequence[str] = ALLOWED,
    find: Any = None,
    tls: ssl.SSLContext | None = None,
    secrets: Sequence[str] = (),
    times: int = 1,
) -> Outcome:
    """Perform it, in a loop and a table of its own; `times` one after the other, the last of which is returned."""

    async def stub(_host: str, _port: int) -> Sequence[tuple[int, str]]:
        return LOOPBACK

    async def main() -> Outcome:
        table = Table(find=find or stub, tls=tls or ssl.create_default_context())
        destination = table.get(1)
        destination.rules = Rules(tuple(map(parse_pattern, allow)))
        destination.timeout_ms = 60_000
        destination.blanker = Blanker(secrets)
        outcome = Outcome()
        for number in range(times):
            outcome = Outcome()
            flags = fetch_wire.FOLLOW_REDIRECTS if follow else 0
            frame = fetch_wire.Fetch(number, 1, method, url, b"", body, timeout_ms, flags)
            try:
                await fetching.perform(frame, list(headers), destination, outcome.trace, outcome)
            except fetching.Failure as failure:
                outcome.failure = failure
        await table.close()
        return outcome

    return uvloop.run(main())


def code(outcome: Outcome) -> str:
    return outcome.failure.code if outcome.failure else ""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


# --- What goes out, and what comes back


def test_a_request_goes_out_as_it_was_said_and_its_response_comes_back(server: Server) -> None:
    server.answers["/echo"] = reply(
        b'{"ok":1}', "201 Created", "X-A: b", "X-A: c", "Connection: keep-alive", "Keep-Alive: x"
    )
    outcome = run(
        server.url("/echo?q=1#f"),
        method="PATCH",
        body=b"hello",
        headers=[("X-Mine", "1"), ("Content-Type", "text/plain")],
    )
    sent = server.requests[-1]
    assert sent.line == "PATCH /echo?q=1 HTTP/1.1"
    assert sent.body == b"hello"
    assert {
        name: sent.header(name)
        for name in ("Host", "X-Mine", "Content-Type", "Content-Length", "Accept-Encoding")
    } == {
        "Host": f"127.0.0.1:{server.port}",
        "X-Mine": "1",
        "Content-Type": "text/plain",
        "Content-Length": "5",
        "Accept-Encoding": "gzip, deflate",
    }
    assert outcome.head is not None
    assert (outcome.head.status, outcome.head.url, outcome.body) == (
        201,
        server.url("/echo?q=1"),
        b'{"ok":1}',
    )
    assert [value for name, value in outcome.head.headers if name == "X-A"] == ["b", "c"]
    assert outcome.header("keep-alive") is None
    trace = outcome.trace
    assert (trace.status, trace.response_bytes or 8) == (201, 8)
    assert 0 < trace.connect_ms < trace.first_byte_ms <= trace.total_ms


def test_headers_that_are_ours_are_not_the_handlers_to_say(server: Server) -> None:
    server.answers["/own"] = reply(b"ok")
    run(
        server.url("/own"),
        headers=[("Host", "evil"), ("Content-Length", "99"), ("Transfer-Encoding", "chunked")],
    )
    sent = server.requests[-1]
    assert [value for name, value in sent.headers if name.lower() == "host"] == [f"127.0.0.1:{server.port}"]
    assert sent.header("Transfer-Encoding") is None
    assert sent.header("Content-Length") in {None, "0"}


@pytest.mark.parametrize(("name", "value"), [("X", "a\r\nY: b"), ("X\r\nY", "b"), ("X", "a\nb"), ("X:", "b")])
def test_header_injection_is_refused_before_anything_is_sent(server: Server, name: str, value: str) -> None:
    before = len(server.requests)
    assert code(run(server.url("/"), headers=[(name, value)])) == "invalid"
    assert len(server.requests) == before


def test_nothing_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.answers["/plain"] = reply(b"ok", "200 OK", "Set-Cookie: a=b")
    assert run(server.url("/plain"), times=2).body == b"ok"
    assert server.requests[-1].header("Authorization") is None
    assert server.requests[-1].header("Cookie") is None


def test_connections_are_kept(server: Server) -> None:
    server.answers["/again"] = reply(b"ok")
    before = server.opened
    assert run(server.url("/again"), times=5).body == b"ok"
    assert server.opened == before + 1


# --- Where it may go


def test_a_name_with_an_address_that_is_not_public_is_refused_whatever_else_it_has(server: Server) -> None:
    async def find(_host: str, _port: int) -> Sequence[tuple[int, str]]:
        return [(socket.AF_INET, "93.184.215.14"), (socket.AF_INET, "127.0.0.1")]

    outcome = run(f"http://rebound.example:{server.port}/", allow=["93.184.215.14:*"], find=find)
    assert code(outcome) == "refused"
    assert "127.0.0.1" in str(outcome.failure)


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "10.0.0.1"), (socket.AF_INET, "169.254.169.254"),
        (socket.AF_INET6, "::1"), (socket.AF_INET6, "::ffff:127.0.0.1"), (socket.AF_INET6, "64:ff9b::7f00:1"),
        (socket.AF_INET6, "fd00:ec2::254"), (socket.AF_INET6, "2002:7f00:1::"),
    ],
)  # fmt: skip
def test_a_public_looking_name_that_resolves_to_private_space_is_refused(family: int, address: str) -> None:
    async def find(_host: str, _port: int) -> Sequence[tuple[int, str]]:
        return [(family, address)]

    assert code(run("http://public.example/", allow=[], find=find)) == "refused"


def test_rebinding_between_check_and_connection_finds_no_second_lookup(server: Server) -> None:
    answers = [LOOPBACK, [(socket.AF_INET, "10.9.9.9")], [(socket.AF_INET, "10.9.9.9")]]
    asked: list[str] = []

    async def find(host: str, _port: int) -> Sequence[tuple[int, str]]:
        asked.append(host)
        return answers[min(len(asked) - 1, 2)]

    server.answers["/once"] = reply(b"ok")
    outcome = run(f"http://rebind.test:{server.port}/once", allow=["127.0.0.1:*"], find=find)
    assert outcome.body == b"ok"
    assert asked == ["rebind.test"]


def test_each_new_connection_is_judged_again(server: Server) -> None:
    asked: list[str] = []

    async def find(host: str, _port: int) -> Sequence[tuple[int, str]]:
        asked.append(host)
        return LOOPBACK if len(asked) == 1 else [(socket.AF_INET, "10.9.9.9")]

    server.answers["/closing"] = reply(b"ok", "200 OK", "Connection: close")
    outcome = run(f"http://rebind.test:{server.port}/closing", allow=["127.0.0.1:*"], find=find, times=2)
    assert code(outcome) == "refused"
    assert "10.9.9.9" in str(outcome.failure)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "10.0.0.1"])
def test_a_literal_is_judged_without_a_resolver(host: str, server: Server) -> None:
    async def find(_host: str, _port: int) -> Sequence[tuple[int, str]]:
        raise AssertionError("nothing is to be resolved")

    assert code(run(f"http://{host}:80/", allow=[], find=find)) == "refused"
    assert code(run(f"http://{host}:{server.port}/", allow=["8.8.8.8:*"], find=find)) == "refused"


@pytest.mark.parametrize(
    "host", ["127.1", "0177.0.0.1", "2130706433", "0x7f000001", "\uff11\uff12\uff17.0.0.1"]
)
def test_odd_spellings_of_loopback_are_refused(host: str) -> None:
    assert code(run(f"http://{host}/", allow=[])) == "refused"


def test_a_socket_is_made_only_for_an_address_that_was_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    # The resolver made blind: what is left is the check at the connection itself.
    async def blind(_self: object, _destination: object, target: Target) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", target.port))]

    monkeypatch.setattr(upstream.Pool, "_resolve", blind)
    outcome = run("http://public.example/", allow=[])
    assert code(outcome) == "refused"
    assert "loopback" in str(outcome.failure)


# --- Redirects


def test_a_redirect_is_not_followed_unless_asked(server: Server) -> None:
    server.answers["/from"] = reply(b"", "302 Found", "Location: /to")
    server.answers["/to"] = reply(b"there")
    assert run(server.url("/from")).trace.status == 302
    outcome = run(server.url("/from"), follow=True)
    assert (outcome.body, outcome.trace.redirects) == (b"there", 1)
    assert outcome.head is not None
    assert outcome.head.url == server.url("/to")


def test_a_redirect_into_private_space_is_refused(server: Server) -> None:
    for place in (
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://[::1]/",
        "//127.0.0.1:1/",
        "file:///etc/passwd",
    ):
        server.answers["/in"] = reply(b"", "302 Found", f"Location: {place}")
        outcome = run(server.url("/in"), follow=True, allow=[f"127.0.0.1:{server.port}"])
        assert code(outcome) == "refused", place


def test_redirects_end(server: Server) -> None:
    server.answers["/loop"] = reply(b"", "302 Found", "Location: /loop")
    before = len(server.requests)
    outcome = run(server.url("/loop"), follow=True)
    assert code(outcome) == "refused"
    assert len(server.requests) - before == 6


def test_credentials_do_not_follow_to_another_origin(server: Server) -> None:
    server.answers["/away"] = reply(
        b"", "307 Temporary Redirect", f"Location: http://b.test:{server.port}/landing"
    )
    server.answers["/landing"] = reply(b"ok")
    sent = [("Authorization", "Bearer x"), ("Cookie", "a=b"), ("X-Key", "the-secret-key"), ("X-Plain", "p")]
    run(
        f"http://a.test:{server.port}/away",
        follow=True,
        headers=sent,
        secrets=["the-secret-key"],
        method="POST",
        body=b"{}",
    )
    landed = server.requests[-1]
    assert landed.path == "/landing"
    assert landed.body == b"{}"
    assert [landed.header(name) for name in ("Authorization", "Cookie", "X-Key", "X-Plain")] == [
        None,
        None,
        None,
        "p",
    ]


# --- Too much, too slow, not at all


def test_a_compressed_response_is_decoded(server: Server) -> None:
    plain = b"a" * 100_000
    for coding, data in (
        ("gzip", gzip.compress(plain)),
        ("deflate", zlib.compress(plain)),
        ("deflate", zlib.compress(plain)[2:-4]),
        ("gzip", gzip.compress(plain[:50_000]) + gzip.compress(plain[50_000:])),
    ):
        server.answers["/packed"] = reply(data, "200 OK", f"Content-Encoding: {coding}")
        outcome = run(server.url("/packed"))
        assert outcome.body == plain
        assert outcome.header("content-encoding") is None


def test_a_response_that_is_too_long_is_refused(server: Server) -> None:
    limit = fetch_wire.RESPONSE_BYTES_MAX

    async def endless(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(limit // 65_536 + 10):
            writer.write(bytes(65_536))
            await writer.drain()

    server.answers["/announced"] = f"HTTP/1.1 200 OK\r\nContent-Length: {limit + 1}\r\n\r\n".encode()
    server.answers["/endless"] = endless
    for path in ("/announced", "/endless"):
        assert code(run(server.url(path))) == "too_large", path


def test_a_decompression_bomb_is_refused(server: Server) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    server.answers["/bomb"] = reply(bomb, "200 OK", "Content-Encoding: gzip")
    outcome = run(server.url("/bomb"))
    assert code(outcome) == "too_large"
    assert len(outcome.body) <= fetch_wire.RESPONSE_BYTES_MAX


def test_headers_of_a_response_are_bounded(server: Server) -> None:
    for path, headers in (
        ("/many", [f"X-{at}: 1" for at in range(500)]),
        ("/long", ["X: " + "a" * 20_000]),
        ("/much", [f"X-{at}: " + "a" * 8_000 for at in range(10)]),
    ):
        server.answers[path] = reply(b"ok", "200 OK", *headers)
        assert code(run(server.url(path))) == "too_large", path


SLOW: dict[str, Callable[[Request, asyncio.StreamWriter], Any]] = {}


def slow(path: str) -> Callable[[Any], Any]:
    def keep(answer: Any) -> Any:
        SLOW[path] = answer
        return answer

    return keep


@slow("/slow-head")
async def _slow_head(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for at in range(600):
        writer.write(f"X-{at % 50}: 1\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.02)


@slow("/slow-body")
async def _slow_body(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    for _ in range(600):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@slow("/silent")
async def _silent(_request: Request, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


@pytest.mark.parametrize("path", SLOW)
def test_one_deadline_covers_all_of_it(server: Server, path: str) -> None:
    server.answers[path] = SLOW[path]
    begun = time.monotonic()
    assert code(run(server.url(path), timeout_ms=200)) == "timeout"
    assert time.monotonic() - begun < 10


def test_the_deadline_covers_resolving_and_a_dead_host() -> None:
    async def never(_host: str, _port: int) -> Sequence[tuple[int, str]]:
        await asyncio.sleep(30)
        return LOOPBACK

    assert code(run("http://slow.test/", timeout_ms=100, find=never)) == "timeout"
    listener, port = silent_port()
    with listener:
        assert code(run(f"http://127.0.0.1:{port}/", timeout_ms=100)) == "timeout"


def test_a_connection_that_fails_says_why(server: Server) -> None:
    async def unknown(_host: str, _port: int) -> Sequence[tuple[int, str]]:
        raise socket.gaierror(-2, "Name or service not known")

    async def hang_up(_request: Request, _writer: asyncio.StreamWriter) -> None:
        return None

    listener, port = silent_port()
    listener.close()
    server.answers["/hang-up"] = hang_up
    server.answers["/garbage"] = b"not http at all\r\n\r\n"
    server.answers["/short"] = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
    for url, find, text in (
        ("http://nowhere.test/", unknown, "can't be resolved"),
        (f"http://127.0.0.1:{port}/", None, "connect"),
        (server.url("/hang-up"), None, "closed the connection"),
        (server.url("/garbage"), None, ""),
        (server.url("/short"), None, "can't be decoded"),
    ):
        outcome = run(url, find=find)
        assert code(outcome) == "connection", url
        assert text in str(outcome.failure), url


# --- TLS


def test_tls_keeps_the_name_that_was_asked_for(tmp_path: Path) -> None:
    ca_file, context = certificates(tmp_path, "api.test")
    trusting = ssl.create_default_context(cafile=str(ca_file))
    with Server({"/": reply(b"ok")}, tls=context) as server:
        url = f"https://api.test:{server.port}/"
        assert run(url, tls=trusting).body == b"ok"
        assert server.requests[-1].header("Host") == f"api.test:{server.port}"
        other = run(f"https://other.test:{server.port}/", tls=trusting)
        assert code(other) == "connection"
        assert "certificate" in str(other.failure)
        assert code(run(url)) == "connection"  # the system doesn't know that authority


# --- Bounds of many


def test_many_destinations_leave_a_bounded_number_of_connections(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same with the real bound and 10,000 destinations: `python -m benchmarks fetch`.
    monkeypatch.setattr(upstream, "CONNECTIONS_MAX", 100)
    server.answers["/one"] = reply(b"ok")
    url = server.url("/one")

    async def main() -> tuple[int, int, int]:
        table = Table(find=None, tls=ssl.create_default_context())  # type: ignore[arg-type]
        most = 0
        for start in range(0, 600, 50):
            await asyncio.gather(*(one(table, number) for number in range(start, start + 50)))
            most = max(most, table.pool.open)
        kept = table.pool.open
        table.sweep()
        await table.close()
        return most, kept, len(table)

    async def one(table: Table, number: int) -> None:
        destination = table.get(number)
        destination.rules, destination.timeout_ms = Rules((parse_pattern("127.0.0.1:*"),)), 10_000
        frame = fetch_wire.Fetch(1, 1, "GET", url, b"", b"", 10_000, 0)
        await fetching.perform(frame, [], destination, Trace(1, 0, "", "", [], b"", 0), Outcome())
        destination.counter.take()

    most, kept, known = uvloop.run(main())
    assert 0 < kept <= 100
    assert most <= 200
    assert known == 0


def test_a_destination_has_a_bounded_number_of_requests_under_way(server: Server) -> None:
    under_way = [0, 0]

    async def count(_request: Request, _writer: asyncio.StreamWriter) -> bytes:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0.02)
        under_way[0] -= 1
        return reply(b"ok")

    server.answers["/counted"] = count
    url = server.url("/counted")

    async def main() -> None:
        table = Table(find=None, tls=ssl.create_default_context())  # type: ignore[arg-type]
        destination = table.get(1)
        destination.rules, destination.timeout_ms = Rules((parse_pattern("127.0.0.1:*"),)), 10_000
        frames = [fetch_wire.Fetch(at, 1, "GET", url, b"", b"", 10_000, 0) for at in range(200)]
        outcomes = [Outcome() for _ in frames]
        await asyncio.gather(
            *(
                fetching.perform(frame, [], destination, outcome.trace, outcome)
                for frame, outcome in zip(frames, outcomes, strict=True)
            )
        )
        assert all(outcome.body == b"ok" for outcome in outcomes)
        await table.close()

    uvloop.run(main())
    assert under_way[1] <= 64

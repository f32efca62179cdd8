"""One worker's pipes as the egress sees them: what an honest worker gets, and what a captured one may send."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import pickle
import random
import socket
import ssl
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import uvloop
from upstreams import Request, Server, reply

from engine.egress import channel as channels
from engine.egress import control, mocking
from engine.egress.channel import Channel
from engine.egress.destinations import Table
from engine.egress.rules import Rules, parse_pattern
from sandbox import fetch_wire, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

HEADERS = fetch_wire.pack_headers([("X", "y")])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"/ok": reply(b"ok"), "/large": reply(b"x" * 4 * wire.MIB)}) as server:
        yield server


class Worker:
    """The worker's ends of a channel, with a channel at the others."""

    def __init__(self, fetches_max: int = 20, mocks: list[dict[str, Any]] | None = None) -> None:
        async def stub(_host: str, _port: int) -> Sequence[tuple[int, str]]:
            return [(socket.AF_INET, "127.0.0.1")]

        self.table = Table(find=stub, tls=ssl.create_default_context())
        destination = self.table.get(1)
        destination.rules, destination.timeout_ms = Rules((parse_pattern("127.0.0.1:*"),)), 10_000
        requests_read, self.write_fd = os.pipe()
        self.read_fd, answers_write = os.pipe()
        os.set_blocking(self.read_fd, False)
        self.violations: list[str] = []
        rows = mocking.read(mocks) if mocks is not None else None
        bind = control.Bind(1, 1, [], [], [], 10_000, fetches_max, 4_096, True, rows)
        self.channel = Channel(
            bind,
            (answers_write, requests_read),
            destination,
            on_end=lambda _, why: self.violations.append(why),
        )
        self._frames = wire.FrameBuffer(fetch_wire.FROM_EGRESS_BYTES_MAX)
        self._arrived: list[wire.Frame] = []

    def send(self, data: bytes) -> None:
        os.write(self.write_fd, data)

    def fetch(
        self,
        number: int,
        url: str,
        *,
        invocation: int = 1,
        body: bytes = b"",
        timeout_ms: int = 5_000,
        flags: int = 0,
    ) -> None:
        self.send(fetch_wire.Fetch(number, invocation, "POST", url, HEADERS, body, timeout_ms, flags).pack())

    async def next(self) -> Any:
        """The next frame that comes."""
        async with asyncio.timeout(10):
            while not self._arrived:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(self.read_fd, 1 << 18)
                    self._arrived += [fetch_wire.decode_from_egress(body) for body in self._frames.feed(data)]
                await asyncio.sleep(0.001)
        return self._arrived.pop(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  the condition is anything
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def worker(**options: Any) -> AsyncIterator[Worker]:
    own = Worker(**options)
    try:
        yield own
    finally:
        own.channel.close("")
        os.close(own.write_fd)
        os.close(own.read_fd)
        await own.table.close()


def run(test: Callable[[Worker], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with worker(**options) as own:
            await test(own)

    uvloop.run(main())


# --- An honest worker


def test_answers_name_what_they_answer(server: Server) -> None:
    async def test(own: Worker) -> None:
        for number in (1, 2, 3):
            own.fetch(number, server.url("/ok"))
        answers = [await own.next() for _ in range(3)]
        assert {answer.id for answer in answers} == {1, 2, 3}
        assert {(answer.status, answer.body, answer.is_last) for answer in answers} == {(200, b"ok", True)}

    run(test)


def test_a_long_answer_comes_in_pieces(server: Server) -> None:
    async def test(own: Worker) -> None:
        own.fetch(1, server.url("/large"))
        frames = [await own.next()]
        while not frames[-1].is_last:
            frames.append(await own.next())
        assert isinstance(frames[0], fetch_wire.Answer)
        assert {type(frame) for frame in frames[1:]} == {fetch_wire.Body}
        assert sum(len(frame.body) for frame in frames) == 4 * wire.MIB

    run(test)


def test_what_is_cancelled_is_not_answered(server: Server) -> None:
    started = asyncio.Event()

    async def never(_request: Request, _writer: asyncio.StreamWriter) -> None:
        started.set()
        await asyncio.sleep(30)

    server.answers["/never"] = never

    async def test(own: Worker) -> None:
        own.fetch(1, server.url("/never"))
        await own.until(started.is_set)
        own.send(fetch_wire.Cancel(1).pack() + fetch_wire.Cancel(1).pack() + fetch_wire.Cancel(99).pack())
        await own.until(lambda: not own.channel._tasks)
        own.fetch(2, server.url("/ok"))
        assert (await own.next()).id == 2
        (trace,) = own.channel.ring.of(frozenset({1}))[:1]
        assert trace.error == "cancelled"

    run(test)


def test_fetches_of_an_invocation_are_counted_here_too(server: Server) -> None:
    async def test(own: Worker) -> None:
        for number in range(1, 6):
            own.fetch(number, server.url("/ok"), invocation=7)
        own.fetch(6, server.url("/ok"), invocation=8)
        answers = {frame.id: frame for frame in [await own.next() for _ in range(6)]}
        assert [type(answers[number]).__name__ for number in range(1, 7)] == [
            *["Answer"] * 3, "Failed", "Failed", "Answer",
        ]  # fmt: skip
        assert answers[4].code == "too_many"

    run(test, fetches_max=3)


def test_upstream_is_not_read_while_the_worker_takes_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "BUFFER_BYTES_MAX", wire.MIB)

    async def test(own: Worker) -> None:
        for number in range(1, 9):
            own.fetch(number, server.url("/large"), invocation=number)
        await own.until(lambda: own.channel._unsent_bytes > wire.MIB)
        before = -1
        while before != own.channel._unsent_bytes:
            before = own.channel._unsent_bytes
            await asyncio.sleep(0.05)
        assert own.channel._unsent_bytes < wire.MIB + 9 * 2 * fetch_wire.PIECE_BYTES_MAX
        ended = 0
        while ended < 8:
            ended += (await own.next()).is_last

    run(test)


def test_a_worker_that_is_gone_ends_what_it_had_under_way(server: Server) -> None:
    async def never(_request: Request, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    server.answers["/never"] = never

    async def main(turns: int) -> None:
        own = Worker()
        own.fetch(1, server.url("/never"))
        await own.until(lambda: bool(own.channel._tasks))
        for _ in range(turns):  # so that it ends while it resolves, connects, sends, waits
            await asyncio.sleep(0)
        os.close(own.write_fd)
        os.close(own.read_fd)
        await own.until(lambda: own.channel.is_closed and not own.channel._tasks)
        assert own.violations == [""]
        async with asyncio.timeout(5):  # no connection is counted that isn't there
            await own.table.close()

    for turns in range(30):
        uvloop.run(main(turns))


def test_mocks_answer_instead_of_the_network() -> None:
    mocks = [
        {"url": "https://api.example.com/*", "status": 503},
        {
            "method": "POST",
            "url": "https://api.example.com/a",
            "status": 201,
            "json": {"id": 1},
            "headers": {"X-A": "b"},
        },
        {"url": "https://down.example.com/", "error": "connection"},
    ]

    async def test(own: Worker) -> None:
        for number, url in enumerate(
            (
                "https://api.example.com/a",
                "https://api.example.com/b",
                "https://down.example.com",
                "https://other.example.com",
            ),
            1,
        ):
            own.fetch(number, url)
        answers = {frame.id: frame for frame in [await own.next() for _ in range(4)]}
        assert (answers[1].status, answers[1].body) == (201, b'{"id":1}')
        assert dict(fetch_wire.unpack_headers(answers[1].headers))["content-type"] == "application/json"
        assert answers[2].status == 503
        assert (answers[3].code, answers[4].code) == ("connection", "unmocked")

    run(test, mocks=mocks)


def test_mocks_are_redirected_as_real_answers_are() -> None:
    place = "https://api.example.com"
    mocks = [
        {"method": "POST", "url": f"{place}/from", "status": 303, "headers": {"Location": "/to"}},
        {"method": "GET", "url": f"{place}/to", "text": "there"},
        {"url": f"{place}/round", "status": 307, "headers": {"Location": "/round"}},
        {"url": f"{place}/astray", "status": 302, "headers": {"Location": "file:///etc/passwd"}},
    ]

    async def test(own: Worker) -> None:
        own.fetch(1, f"{place}/from")
        for number, path in enumerate(("from", "round", "astray"), 2):
            own.fetch(number, f"{place}/{path}", flags=fetch_wire.FOLLOW_REDIRECTS)
        answers = {frame.id: frame for frame in [await own.next() for _ in range(4)]}
        assert (answers[1].status, answers[2].status) == (303, 200)
        assert (answers[2].url, answers[2].body) == (f"{place}/to", b"there")
        assert (answers[3].code, answers[4].code) == ("refused", "refused")
        assert [trace["redirects"] for _, trace in own.channel.traces(frozenset({1}))] == [0, 1, 6, 0]

    run(test, mocks=mocks)


def test_a_channel_that_is_idle_again_holds_next_to_nothing(server: Server) -> None:
    # As many as there are bound workers, so that this times 10,000 is what many destinations leave.
    async def test(own: Worker) -> None:
        own.fetch(1, server.url("/ok"), body=b"x" * 10_000)
        assert (await own.next()).is_last
        await own.until(lambda: not own.channel._tasks)
        own.channel.ring.forget(math.inf)
        held = [own.channel._frames, own.channel._unsent, own.channel._counts, own.channel.ring]
        assert sum(len(pickle.dumps(item)) for item in held) < 2_000
        assert own.channel._held_bytes == own.channel._unsent_bytes == 0

    run(test)


def test_a_mistake_of_the_egress_is_a_failure_and_not_silence(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quoted = "what was fetched"

    async def wrong(*_: object) -> None:
        raise ZeroDivisionError(quoted)

    monkeypatch.setattr(channels.fetching, "perform", wrong)

    async def test(own: Worker) -> None:
        own.fetch(1, server.url("/ok"))
        failed = await own.next()
        assert (failed.code, "ZeroDivisionError" in failed.message) == ("connection", True)

    run(test)
    said = capsys.readouterr().err
    assert "in wrong" in said
    assert "ZeroDivisionError" in said
    assert quoted not in said


# --- A captured worker


def frame(*items: Any) -> bytes:
    body = msgpack.packb(list(items))
    return wire.LENGTH.pack(len(body)) + body


def fetch_items(**changed: Any) -> list[Any]:
    items = {
        "kind": 1, "id": 1, "invocation": 1, "method": "GET", "url": "http://127.0.0.1/", "headers": HEADERS,
        "body": b"", "timeout_ms": 1_000, "flags": 0,
    }  # fmt: skip
    return list({**items, **changed}.values())


ATTACKS = {
    "a length of 4 GiB": b"\xff\xff\xff\xff",
    "a length of nothing": b"\x00\x00\x00\x00",
    "a length beyond the limit": wire.LENGTH.pack(fetch_wire.TO_EGRESS_BYTES_MAX + 1),
    "garbage": wire.LENGTH.pack(5) + b"\xc1\xc1\xc1\xc1\xc1",
    "no array": wire.LENGTH.pack(1) + b"\x01",
    "a nesting bomb": wire.LENGTH.pack(5_000) + b"\xdd\x00\x00\x00\x01" * 1_000,
    "an array that claims four billion items": wire.LENGTH.pack(5) + b"\xdd\xff\xff\xff\xff",
    "an extension type": wire.LENGTH.pack(4) + b"\x91\xd4\x01\x00",
    "trailing bytes": wire.LENGTH.pack(6) + msgpack.packb([2, 1]) + b"\x00\x00\x00",
    "an unknown kind": frame(9, 1),
    "an answer": fetch_wire.Answer(1, 200, "x", b"", b"", is_last=True).pack(),
    "too few fields": frame(1, 1),
    "too many fields": frame(*fetch_items(), 1),
    "a number as text": frame(*fetch_items(id="1")),
    "a bool as number": frame(*fetch_items(id=True)),
    "text that isn't UTF-8": wire.LENGTH.pack(4) + b"\x92\x01\xa1\xff",
    "a body as text": frame(*fetch_items(body="x")),
    "a negative deadline": frame(*fetch_items(timeout_ms=-1)),
    "a body beyond the limit": frame(*fetch_items(body=bytes(fetch_wire.REQUEST_BODY_BYTES_MAX + 1))),
    "a URL beyond the limit": frame(*fetch_items(url="http://a/" + "x" * fetch_wire.URL_CHARS_MAX)),
    "headers that are none": frame(*fetch_items(headers=b"\xc1")),
    "an odd header": frame(*fetch_items(headers=msgpack.packb(["X"]))),
    "headers of numbers": frame(*fetch_items(headers=msgpack.packb(["X", 1]))),
    "a thousand headers": frame(*fetch_items(headers=msgpack.packb(["X", "y"] * 1_000))),
    "number 0": frame(*fetch_items(id=0)),
    "a number that was used": frame(*fetch_items(id=5, url="http://10.0.0.1/")) + frame(*fetch_items(id=5)),
    "a number below one that was used": frame(*fetch_items(id=5, url="http://10.0.0.1/"))
    + frame(*fetch_items(id=4)),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_whatever_breaks_the_protocol_closes_the_channel(name: str) -> None:
    async def test(own: Worker) -> None:
        writing = asyncio.get_running_loop().run_in_executor(None, _write_all, own.write_fd, ATTACKS[name])
        await own.until(lambda: bool(own.violations))
        await writing
        assert own.violations[0].startswith("on its channel")
        assert own.channel.is_closed

    run(test)


def _write_all(fd: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]


def test_random_bytes_never_do_more_than_close_the_channel() -> None:
    rng = random.Random(7)

    async def test(own: Worker) -> None:
        own.send(wire.LENGTH.pack(3_000) + rng.randbytes(3_000))
        await own.until(lambda: bool(own.violations))

    for _ in range(20):
        run(test)


def test_a_half_frame_waits_and_harms_nobody(server: Server) -> None:
    async def test(own: Worker) -> None:
        whole = fetch_wire.Fetch(1, 1, "GET", server.url("/ok"), HEADERS, b"", 5_000, 0).pack()
        for at in range(0, len(whole), 7):
            own.send(whole[at : at + 7])
            await asyncio.sleep(0)
        assert (await own.next()).status == 200

    run(test)


def test_a_flood_that_is_never_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "BUFFER_BYTES_MAX", 64 * wire.KIB)

    async def test(own: Worker) -> None:
        os.set_blocking(own.write_fd, False)
        number = 0
        with contextlib.suppress(BlockingIOError):
            while number < 100_000:
                number += 1
                own.fetch(number, "http://127.0.0.1/", invocation=1)
                if number % 100 == 0:
                    await asyncio.sleep(0.001)
        assert number < 100_000  # it isn't read any more: its pipe is full
        assert own.channel._unsent_bytes < 64 * wire.KIB + 8 * channels.READ_BYTES

    run(test, fetches_max=0)

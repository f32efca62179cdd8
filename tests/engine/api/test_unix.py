from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from fake_core import served

from engine.api import allowance, auth, connection, frames
from engine.api.unix import UnixServer
from engine.client import Client
from engine.errors import ConfigurationError, Unavailable
from engine.events import encode_events
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_core import ServedCore

HELLO = frames.Hello(wire.PROTOCOL_VERSION, None)
TRACK = encode_events([{"type": "track", "event": "Bought"}])


class Raw:
    """A client that may say anything."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._buffer = wire.FrameBuffer(64 * wire.MIB)
        self._frames: list[wire.Frame] = []

    def send(self, *sent: wire.Frame | bytes) -> None:
        self.socket.sendall(b"".join(item if isinstance(item, bytes) else item.pack() for item in sent))

    def receive(self) -> wire.Frame | None:
        """The next frame; None once the daemon hung up."""
        while not self._frames:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._frames += [frames.decode(body, frames.FROM_DAEMON) for body in self._buffer.feed(data)]
        return self._frames.pop(0)


@pytest.fixture
def raw(daemon: ServedCore) -> Iterator[Raw]:
    connection = Raw(daemon.path)
    yield connection
    connection.socket.close()


def greet(raw: Raw) -> None:
    raw.send(HELLO)
    assert isinstance(raw.receive(), frames.Welcome)


def submit(
    request_id: int, *, name: str = "orders", events: wire.Events = TRACK, wait: bool = False
) -> bytes:
    return frames.Submit(request_id, name, frames.SUBMIT_WAIT if wait else 0, events).pack()


def framed(value: Any) -> bytes:
    body = msgpack.packb(value)
    return struct.pack(">I", len(body)) + body


def test_the_daemon_tells_its_limits_and_its_pid(raw: Raw) -> None:
    raw.send(HELLO)
    welcome = raw.receive()
    assert isinstance(welcome, frames.Welcome)
    assert welcome.protocol == wire.PROTOCOL_VERSION
    assert welcome.limits["submit_events_max"] == wire.SUBMIT_EVENTS_MAX
    assert welcome.info["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bytes"),
        (b"\x00\x00\x00\x00", "a frame of 0 bytes"),
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        (struct.pack(">I", wire.CLIENT_FRAME_BYTES_MAX + 1), "are allowed"),
        (b"\x00\x00\x00\x01\xc1", "msgpack"),
        (framed({"kind": 0}), "array"),
        (framed([]), "array"),
        (framed([99, 1]), "no frame has the kind 99"),
        (framed(["x"]), "array"),
        (framed([0, 1]), "3 fields"),
        (framed([0, "1", None, False]), "protocol"),
        (framed([0, True, None, False]), "protocol"),
        (framed([0, wire.PROTOCOL_VERSION + 1, None, False]), "speaks"),
        (framed([2, 1, "list", {}, None, ""]), "Hello"),
        (submit(1), "Hello"),
        (HELLO.pack() + HELLO.pack(), "out of turn"),
        (HELLO.pack() + framed([2, 1, "list", {}]), "fields"),
        (HELLO.pack() + framed([3, 1, 0]), "credit"),
        (HELLO.pack() + framed([3, 1, allowance.CREDIT_MAX + 1]), "credit"),
        (HELLO.pack() + framed([2, 1, "stats", {}, None, ""]) * 2, "still running"),
        (HELLO.pack() + framed([1, 1, "orders", 0, b"\x01", [""], [""], {}, [1] * 3_000, b"x"]), "msgpack"),
        (HELLO.pack() + b"\x00\x00\x00\x05\xdd\xff\xff\xff\xff", "msgpack"),
        (HELLO.pack() + b"\x00\x00\x00\x02\xc1\xc1", "msgpack"),
    ],
)
def test_garbage_ends_its_connection_with_the_reason_and_nothing_else(
    daemon: ServedCore, garbage: bytes, reason: str
) -> None:
    with Client(daemon.path) as beside:
        raw = Raw(daemon.path)
        raw.send(garbage)
        received: list[wire.Frame] = []
        while (frame := raw.receive()) is not None:
            received.append(frame)
        raw.socket.close()
        last = received[-1]
        assert isinstance(last, frames.Error)
        assert last.id == frames.CONNECTION_ID
        assert reason in last.message
        assert daemon.core.submitted == []
        assert beside.show("orders")["version"] == 1


def test_half_a_frame_and_then_nothing_disturbs_nobody(daemon: ServedCore, raw: Raw) -> None:
    greet(raw)
    raw.send(submit(1)[:20])
    raw.socket.close()
    daemon.until(lambda: not daemon.server.connections)
    with Client(daemon.path) as client:
        assert client.show("orders")["version"] == 1


def test_a_frame_that_comes_a_byte_at_a_time_is_read(daemon: ServedCore, raw: Raw) -> None:
    for byte in HELLO.pack() + submit(7):
        raw.send(bytes([byte]))
    assert isinstance(raw.receive(), frames.Welcome)
    assert raw.receive() == frames.Accepted([7], [1], [0])
    assert len(daemon.core.submitted) == 1


def test_submits_are_pipelined_and_answered_by_their_ids(raw: Raw) -> None:
    raw.send(HELLO, *(submit(at, wait=at % 2 == 0) for at in range(100, 300)))
    assert isinstance(raw.receive(), frames.Welcome)
    accepted, delivered = set(), set()
    while len(accepted) < 200 or len(delivered) < 100:
        frame = raw.receive()
        if isinstance(frame, frames.Accepted):
            assert set(frame.accepted) == {1}
            assert set(frame.duplicates) == {0}
            accepted.update(frame.ids)
        else:
            assert isinstance(frame, frames.Delivered)
            assert set(frame.counts) == {1}
            assert accepted.issuperset(frame.ids)
            delivered.update(frame.ids)
    assert delivered == set(range(100, 300, 2))


def test_what_was_not_all_delivered_has_an_answer_of_its_own(raw: Raw) -> None:
    greet(raw)
    mixed = encode_events([{"type": "track"}, {"type": "page"}])
    raw.send(submit(1, events=mixed, wait=True))
    assert raw.receive() == frames.Accepted([1], [2], [0])
    settled = raw.receive()
    assert isinstance(settled, frames.Settled)
    assert (settled.id, settled.delivered, settled.discarded) == (1, 1, 1)


def test_replies_of_one_turn_go_out_in_one_write(daemon: ServedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Raw(daemon.path)
    greet(raw)
    (connection,) = daemon.server.connections
    written: list[bytes] = []

    class Spy:
        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

        def write(self, data: bytes) -> None:
            written.append(data)
            self._transport.write(data)

    assert connection._transport is not None
    monkeypatch.setattr(connection, "_transport", Spy(connection._transport))
    daemon.core.is_holding = True
    raw.send(*(submit(at) for at in range(50)))
    daemon.until(lambda: len(daemon.core.held) == 50)
    daemon.call(daemon.core.release)
    assert raw.receive() == frames.Accepted([*range(50)], [1] * 50, [0] * 50)
    assert len(written) == 1
    raw.socket.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"types": b"\x01\x01"}, "differ in length"),
        ({"types": b"\x63"}, "type outside"),
        ({"sizes": [3]}, "add up"),
        ({"sizes": [-1]}, "size"),
        ({"sizes": ["1"]}, "size"),
        ({"message_ids": ["x" * 101]}, "message id"),
        ({"message_ids": [5]}, "message id"),
        ({"user_keys": ["x" * 257]}, "user key"),
        ({"integrations": {5: b""}}, "integrations"),
        ({"sizes": [wire.EVENT_BYTES_MAX + 1], "bodies": b"x" * (wire.EVENT_BYTES_MAX + 1)}, "size"),
        ({"types": b"", "sizes": [], "message_ids": [], "user_keys": [], "bodies": b""}, "events"),
    ],
)
def test_columns_that_disagree_refuse_the_submit_and_keep_the_connection(
    daemon: ServedCore, raw: Raw, change: dict[str, Any], reason: str
) -> None:
    greet(raw)
    raw.send(submit(1, events=TRACK._replace(**change)), submit(2))
    refused = raw.receive()
    assert isinstance(refused, frames.Error)
    assert (refused.id, refused.code) == (1, "invalid_event")
    assert reason in refused.message
    assert raw.receive() == frames.Accepted([2], [1], [0])
    assert len(daemon.core.submitted) == 1


def test_an_absent_destination_refuses_its_submit_only(raw: Raw) -> None:
    raw.send(HELLO, submit(1, name="nowhere"), submit(2, name="x" * 1_000), submit(3))
    codes = [frame.code for _ in range(4) if isinstance(frame := raw.receive(), frames.Error)]
    assert codes == ["not_found", "invalid_request"]


def test_reading_stops_while_the_journal_is_behind(daemon: ServedCore, raw: Raw) -> None:
    greet(raw)
    daemon.core.congested_after = 1
    raw.send(submit(1))
    assert raw.receive() == frames.Accepted([1], [1], [0])
    (connection,) = daemon.server.connections
    daemon.until(lambda: not connection._transport.is_reading())  # type: ignore[union-attr]
    raw.send(submit(2))
    for _ in range(20):
        daemon.run(asyncio.sleep(0))
    assert len(daemon.core.submitted) == 1

    def relieve() -> None:
        daemon.core.congested = False
        daemon.core.relief.set()

    daemon.call(relieve)
    assert raw.receive() == frames.Accepted([2], [1], [0])


def test_a_client_that_takes_no_replies_is_read_no_more(daemon: ServedCore, raw: Raw) -> None:
    greet(raw)
    daemon.core.log_lines = 2_000
    (connection,) = daemon.server.connections
    raw.socket.settimeout(0.2)

    requests = (frames.Call(at, "list", {}).pack() for at in itertools.count())
    unsent = b""
    while connection._writable.is_set():  # until it stops taking replies; a loaded machine may be slow to
        unsent = unsent or next(requests)
        with contextlib.suppress(TimeoutError):
            unsent = unsent[raw.socket.send(unsent) :]

    def ask_on() -> None:
        while True:
            raw.socket.sendall(unsent or next(requests))

    with pytest.raises(TimeoutError):
        ask_on()
    assert connection._transport is not None
    assert connection._transport.get_write_buffer_size() < 64 * wire.MIB


def test_a_stream_sends_no_more_than_the_client_asked_for(daemon: ServedCore, raw: Raw) -> None:
    greet(raw)
    raw.send(frames.Call(1, "logs", {"name": "orders", "follow": True}), frames.Credit(1, 3))
    assert [raw.receive() for _ in range(3)] == [frames.Item(1, {"at": "now", "n": at}) for at in (1, 2, 3)]
    raw.send(frames.Call(2, "show", {"name": "orders"}))
    assert isinstance(raw.receive(), frames.Result)
    assert daemon.core.lines_made == 4
    raw.send(frames.Credit(1, 1))
    assert raw.receive() == frames.Item(1, {"at": "now", "n": 4})


def test_credits_do_not_pile_up_without_bound(daemon: ServedCore, raw: Raw) -> None:
    greet(raw)
    raw.send(frames.Call(1, "logs", {"name": "orders", "follow": True}))
    raw.send(*[frames.Credit(1, allowance.CREDIT_MAX)] * 50)
    daemon.until(lambda: daemon.core.lines_made > 0)
    (connection,) = daemon.server.connections
    assert connection._allowances[1]._count <= allowance.CREDIT_MAX


def test_a_cancelled_stream_ends_and_is_closed_at_the_source(daemon: ServedCore, raw: Raw) -> None:
    greet(raw)
    raw.send(frames.Call(1, "logs", {"name": "orders", "follow": True}), frames.Credit(1, 1))
    assert isinstance(raw.receive(), frames.Item)
    raw.send(frames.Cancel(1))
    assert raw.receive() == frames.End(1)
    daemon.until(lambda: daemon.core.streams_open == 0)


def test_a_request_cancelled_in_the_frame_after_it_is_answered_too(raw: Raw) -> None:
    raw.send(HELLO, frames.Call(1, "stats", {}), frames.Cancel(1), frames.Call(2, "show", {"name": "orders"}))
    answers = [raw.receive() for _ in range(3)]
    assert frames.End(1) in answers
    assert isinstance(answers[0], frames.Welcome)
    assert frames.Result(2, {"name": "orders", "version": 1}) in answers
    raw.send(frames.Call(1, "show", {"name": "orders"}))
    assert isinstance(raw.receive(), frames.Result)


def test_a_client_that_leaves_takes_its_streams_and_calls_along(daemon: ServedCore, raw: Raw) -> None:
    greet(raw)
    raw.send(frames.Call(1, "logs", {"name": "orders", "follow": True}), frames.Credit(1, 1))
    raw.send(frames.Call(2, "stats", {}))
    daemon.until(lambda: daemon.core.streams_open == 1)
    raw.socket.close()
    daemon.until(lambda: daemon.core.streams_open == 0 and daemon.core.cancelled == ["stats"])


def test_calls_at_once_are_bounded_on_a_connection(raw: Raw) -> None:
    greet(raw)
    raw.send(*(frames.Call(at, "stats", {}) for at in range(connection.REQUESTS_MAX + 1)))
    refused = raw.receive()
    assert isinstance(refused, frames.Error)
    assert (refused.id, refused.code) == (connection.REQUESTS_MAX, "unavailable")


@pytest.mark.parametrize(
    ("operation", "arguments", "reason"),
    [
        ("reboot", {}, "no operation"),
        ("show", {}, "name"),
        ("show", {"name": 5}, "name"),
        ("show", {"name": ""}, "name"),
        ("show", {"name": "a\nb"}, "name"),
        ("show", {"name": "a/b"}, "name"),
        ("show", {"name": "orders", "colour": "red"}, "colour"),
        ("deploy", {"name": "orders", "source": "é" * 600_000}, "bytes"),
        ("deploy", {"name": "orders", "source": "", "limits": {"timeout_ms": "5"}}, "timeout_ms"),
        ("deploy", {"name": "orders", "source": "", "settings": 5}, "settings"),
        ("test", {"source": "", "events": []}, "events"),
        ("test", {"source": "", "events": [5]}, "events"),
    ],
)
def test_wrong_arguments_are_named(raw: Raw, operation: str, arguments: dict[str, Any], reason: str) -> None:
    greet(raw)
    raw.send(frames.Call(1, operation, arguments))
    refused = raw.receive()
    assert isinstance(refused, frames.Error)
    assert (refused.id, refused.code) == (1, "invalid_request")
    assert reason in refused.message


def test_deeply_nested_arguments_are_refused_not_followed(raw: Raw) -> None:
    greet(raw)
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    raw.send(frames.Call(1, "deploy", {"name": "orders", "source": "", "settings": {"a": deep}}))
    refused = raw.receive()
    assert isinstance(refused, frames.Error)
    assert "nested" in refused.message
    raw.send(frames.Call(2, "test", {"source": "", "events": [{"type": "track", "a": deep}] * 2}))
    answered = raw.receive()
    assert isinstance(answered, frames.Result | frames.Error)
    assert getattr(answered, "code", "invalid_event") == "invalid_event"


def test_only_the_own_user_and_root_may_call(daemon: ServedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "peer_of", lambda _: auth.Peer(1, 4_000_000_000, 1))
    raw = Raw(daemon.path)
    raw.send(HELLO)
    refused = raw.receive()
    assert isinstance(refused, frames.Error)
    assert refused.code == "forbidden"
    assert raw.receive() is None
    raw.socket.close()


def test_clients_beyond_the_limit_are_told_so(daemon: ServedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS_MAX", 1)
    with Client(daemon.path) as first:
        with pytest.raises(Unavailable, match="clients are connected"):
            Client(daemon.path)
        assert first.show("orders")["version"] == 1


def test_others_leave_room_for_root_and_the_own_user(
    daemon: ServedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OTHERS_MAX", 0)
    monkeypatch.setattr(connection, "peer_of", lambda _: auth.Peer(1, 4_000_000_000, 1))
    with pytest.raises(Unavailable, match="0 clients are connected"):
        Client(daemon.path)
    monkeypatch.undo()
    with Client(daemon.path) as own:
        assert own.show("orders")["version"] == 1


@pytest.mark.parametrize("sent", [b"", HELLO.pack()[:5]])
def test_who_does_not_say_hello_in_time_loses_its_place(
    daemon: ServedCore, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection, "HELLO_TIMEOUT_S", 0.05)
    silent = Raw(daemon.path)
    silent.send(sent)
    told = silent.receive()
    assert isinstance(told, frames.Error)
    assert (told.id, told.message) == (frames.CONNECTION_ID, "no Hello within 0.05 s")
    assert silent.receive() is None
    silent.socket.close()


def test_before_hello_no_large_frame_is_kept(daemon: ServedCore) -> None:
    stranger = Raw(daemon.path)
    stranger.send(wire.LENGTH.pack(connection.HELLO_BYTES_MAX + 1))
    told = stranger.receive()
    assert isinstance(told, frames.Error)
    assert f"1 to {connection.HELLO_BYTES_MAX} are allowed" in told.message
    assert stranger.receive() is None
    stranger.socket.close()


def test_who_has_said_hello_may_be_silent(daemon: ServedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HELLO_TIMEOUT_S", 0.01)
    greeted = Raw(daemon.path)
    greet(greeted)
    (silent,) = [each for each in daemon.server.connections if each._asker is not None]
    assert silent._impatience is not None
    assert silent._impatience.cancelled()
    greeted.socket.close()


def test_the_socket_is_its_owner_s_alone(daemon: ServedCore) -> None:
    assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o600


def start(path: Path, mode: int = 0o600) -> None:
    async def main() -> None:
        server = UnixServer(None, None, path, mode)  # type: ignore[arg-type]
        await server.start()
        assert stat.S_IMODE(os.stat(path).st_mode) == mode  # noqa: PTH116  a blocking call is fine here
        server.stop_listening()
        server.close()

    asyncio.run(main())


def test_another_mode_can_be_configured(tmp_path: Path) -> None:
    start(tmp_path / "e.sock", 0o660)


def test_a_socket_that_nobody_answers_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "e.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    start(path)
    assert not path.exists()


def test_a_socket_that_somebody_answers_on_is_left_alone(daemon: ServedCore) -> None:
    with pytest.raises(Unavailable, match="another daemon answers"):
        start(daemon.path)
    with Client(daemon.path) as client:
        assert client.show("orders")["version"] == 1


def test_a_file_in_the_socket_s_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "e.sock"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="is no socket"):
        start(path)
    assert path.read_text() == "precious"


def test_a_path_that_is_too_long_is_told_with_the_limit(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="longer than 107 bytes"):
        start(tmp_path / ("x" * 120))


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        start(tmp_path / "nowhere" / "e.sock")


def test_a_stop_sends_what_is_ready_and_hangs_up(tmp_path: Path) -> None:
    with served(tmp_path / "s.sock") as daemon:
        raw = Raw(daemon.path)
        greet(raw)
        raw.send(submit(1))
        daemon.until(lambda: len(daemon.core.submitted) == 1)
        daemon.hang_up()
        assert raw.receive() in (frames.Accepted([1], [1], [0]), None)
        raw.socket.close()

"""The wire holds against whatever arrives, and loses nothing of what was meant."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable

events = st.lists(
    st.tuples(
        st.integers(0, len(wire.EVENT_TYPES) - 1),
        st.text(max_size=20),
        st.text(max_size=20),
        st.binary(min_size=1, max_size=50),
    ),
    min_size=1,
    max_size=30,
).map(
    lambda rows: wire.Events(
        bytes(row[0] for row in rows),
        [row[1] for row in rows],
        [row[2] for row in rows],
        {},
        [len(row[3]) for row in rows],
        b"".join(row[3] for row in rows),
    )
)


@given(events)
def test_events_cut_apart_and_joined_are_the_same_events(columns: wire.Events) -> None:
    wire.check_events(columns)
    middle = len(columns.sizes) // 2
    parts = [
        part for part in (columns.slice(0, middle), columns.slice(middle, len(columns.sizes))) if part.sizes
    ]
    assert wire.Events.join(parts) == columns
    assert columns.pick(range(len(columns.sizes))) == columns


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 64))
def test_frames_survive_any_cutting_of_the_stream(bodies: list[bytes], step: int) -> None:
    stream = b"".join(wire.LENGTH.pack(len(body)) + body for body in bodies)
    buffer = wire.FrameBuffer(1000)
    seen = [body for at in range(0, len(stream), step) for body in buffer.feed(stream[at : at + step])]
    assert seen == bodies
    assert buffer.pending_bytes == 0


def test_a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() -> None:
    with pytest.raises(wire.WireError, match="4294967295 bytes"):
        list(wire.FrameBuffer(1000).feed(b"\xff\xff\xff\xff"))


def peak_bytes(action: Callable[[], object]) -> int:
    """The most that `action`, which is refused, had allocated at once."""
    tracemalloc.start()
    try:
        with pytest.raises(wire.WireError):
            action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BOMBS = {
    "empty arrays, wide": b"\x9f" + b"\x9f" * 4_000 + b"\x90" * 60_000,
    "array headers, nested": b"\x9f" * 60_000,
    "long array headers, nested": b"\xdc\xff\xff" * 20_000,
    "longest array headers, nested": b"\xdd\xff\xff\xff\xff" * 12_000,
    "maps, nested": b"\x8f" * 60_000,
    "long map headers": b"\xdf\xff\xff\xff\xff" * 12_000,
    "pairs within pairs": b"\x92\x90" * 30_000,
    "a text that claims 4 GiB": b"\x92\x13\xdb\xff\xff\xff\xff",
    "bytes that claim 4 GiB": b"\x92\x13\xc6\xff\xff\xff\xff",
    "an extension that claims 4 GiB": b"\x92\x13\xc9\xff\xff\xff\xff\x01",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_no_bytes_of_a_worker_cost_many_times_their_number(bomb: bytes) -> None:
    assert peak_bytes(lambda: wire.decode_from_worker(bomb)) < 1_000_000
    assert peak_bytes(lambda: wire.unpack_handlers(bomb)) < 1_000_000
    assert peak_bytes(lambda: wire.unpack_opaque(bomb)) < 1_000_000


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(msgpack.packb({"a": 1})[:-1], id="cut short"),
        pytest.param(msgpack.packb({"a": 1}) + b"\xc0", id="more behind it"),
        pytest.param(b"\x82\xa1a\x01\xa1a\x02", id="a key twice"),
        pytest.param(b"\x81\x01\x02", id="a key that is no text"),
        pytest.param(b"\x81\xc4\x01a\x02", id="a key of bytes"),
        pytest.param(b"\xa2\xff\xff", id="bad UTF-8"),
        pytest.param(b"\xd4\x01\x00", id="an extension"),
        pytest.param(b"\xd6\xff\x00\x00\x00\x00", id="a time stamp"),
        pytest.param(msgpack.packb([[[[[[[[]]]]]]]]), id="too deep"),
        pytest.param(msgpack.packb([None] * 20_001), id="too many"),
        pytest.param(msgpack.packb("x" * wire.DETAIL_BYTES_MAX), id="too long"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_a_worker_says_of_itself_is_plain_or_refused(packed: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_opaque(packed)
    assert wire.Detail.unpack(packed).error is not None


opaque = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=30,
)


@given(opaque)
def test_what_is_plain_and_not_too_deep_is_shown(value: object) -> None:
    def depth(item: object) -> int:
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        return (1 if isinstance(item, list | dict) else 0) + max(map(depth, inner), default=0)

    packed = msgpack.packb(value)
    if depth(value) <= wire.OPAQUE_DEPTH_MAX:
        assert wire.unpack_opaque(packed) == value


@given(st.binary(max_size=200))
def test_garbage_from_a_worker_is_a_wire_error_and_nothing_else(garbage: bytes) -> None:
    try:
        frame = wire.decode_from_worker(garbage)
    except wire.WireError:
        return
    assert type(frame) in wire.FROM_WORKER.values()


def test_a_nesting_bomb_is_refused() -> None:
    with pytest.raises(wire.WireError):
        wire.decode_from_worker(b"\xdd\x00\x98\x96\x80" * 1000)


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, [], [99], [16, 5], [16], [20, 1], ["x"], msgpack.ExtType(4, b"x"), [msgpack.ExtType(4, b"x")]],
)
def test_frames_of_another_shape_are_refused(value: object) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_from_worker(msgpack.packb(value))


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(wire.WireError):
        wire.decode_from_worker(msgpack.packb([20]) + b"\x00")


@pytest.mark.parametrize(
    "frame",
    [
        wire.Ready("key"),
        wire.Loaded(None, b"h", b""),
        wire.Loaded(b"code", b"h", b""),
        wire.Refused("load", b"why"),
        wire.Suspended(),
        wire.pack_outcomes(
            [(1, 2), (5, 1)], [wire.Failure(3, 1, 0, b"because"), wire.Failure(4, 6, 2**40, b"")]
        ),
    ],
)
def test_what_a_worker_sends_arrives_as_it_was(frame: wire.Frame) -> None:
    assert wire.decode_from_worker(frame.pack()[4:]) == frame


def test_outcomes_are_columns_and_back() -> None:
    failures = [wire.Failure(3, 1, 0, b"because"), wire.Failure(4, 6, 2**32 - 1, b"")]
    packed = wire.pack_outcomes([(1, 2), (5, 1)], failures)
    assert wire.unpack_outcomes(packed, events_max=9) == ([(1, 2), (5, 1)], failures)


@pytest.mark.parametrize(
    "frame",
    [
        wire.Outcomes(b"\x00" * 8, b"", b"", b"", b"", b""),
        wire.Outcomes(b"", b"\x00" * 7, b"\x01", b"\x00" * 4, b"\x00" * 4, b""),
        wire.Outcomes(b"", b"\x00" * 8, b"\x01\x01", b"\x00" * 4, b"\x00" * 4, b""),
        wire.Outcomes(b"", b"\x00" * 8, b"\x01", b"\x00" * 4, b"\x05\x00\x00\x00", b""),
        wire.Outcomes(b"", b"\x00" * 8, bytes([wire.CODE_INDEX["crashed"]]), b"\x00" * 4, b"\x00" * 4, b""),
        wire.Outcomes(b"", b"", b"", b"", b"", b"more"),
    ],
)
def test_outcome_columns_that_disagree_are_refused(frame: wire.Outcomes) -> None:
    with pytest.raises(wire.WireError):
        wire.unpack_outcomes(frame, events_max=9)


def test_handlers_are_packed_flat_and_checked() -> None:
    handlers = [
        wire.Handler("on_track", "track", False, True, 3),
        wire.Handler("onBatch", "batch", True, False, 9),
    ]
    assert wire.unpack_handlers(wire.pack_handlers(handlers)) == tuple(handlers)
    for forged in (
        [["on_x"]],
        ["on_track", "nonsense", False, True, 3],
        ["on_track", "track", False, True, "3"],
    ):
        with pytest.raises(wire.WireError):
            wire.unpack_handlers(msgpack.packb(forged))
    with pytest.raises(wire.WireError, match="two handlers"):
        wire.unpack_handlers(wire.pack_handlers([handlers[0], handlers[0]]))


def test_libraries_are_known_names_each_once() -> None:
    assert wire.unpack_libraries(wire.pack_libraries({"pydash", "jwt"})) == ("jwt", "pydash")
    for forged in ([], ["os"], ["jwt", "jwt"], [["jwt"]], [1], "jwt", {"jwt": 1}, ["jwt"] * 100):
        with pytest.raises(wire.WireError):
            wire.unpack_libraries(msgpack.packb(forged))


def test_a_detail_is_cut_to_its_limit_console_first() -> None:
    lines = [{"level": "info", "message": "x" * 1000} for _ in range(200)]
    detail = wire.Detail(error={"code": "bad_request", "message": "why"}, logs=lines, result="r")
    packed = detail.pack()
    assert len(packed) <= wire.DETAIL_BYTES_MAX
    read = wire.Detail.unpack(packed)
    assert read.error == detail.error
    assert 0 < len(read.logs) < len(lines)
    assert read.logs_dropped_bytes == 1000 * (len(lines) - len(read.logs))


@given(st.binary(max_size=100))
def test_an_unreadable_detail_says_so(garbage: bytes) -> None:
    assert isinstance(wire.Detail.unpack(garbage), wire.Detail)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"types": b"\x09"}, "outside the table"),
        ({"types": b""}, "differ in length"),
        ({"sizes": [4]}, "add up"),
        ({"sizes": [0]}, "size"),
        ({"sizes": [True]}, "size"),
        ({"message_ids": [7]}, "message id"),
        ({"message_ids": ["x" * 101]}, "message id"),
        ({"user_keys": ["x" * 257]}, "user key"),
        ({"integrations": {3: b""}}, "integrations"),
    ],
)
def test_columns_that_disagree_are_refused_with_the_reason(change: dict[str, object], reason: str) -> None:
    good = wire.Events(b"\x01", ["id"], ["user"], {}, [3], b"\x81\xa1a")
    wire.check_events(good)
    with pytest.raises(wire.WireError, match=reason):
        wire.check_events(good._replace(**change))

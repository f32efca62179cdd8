from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import frames
from engine.events import encode_events
from sandbox import wire

EVENTS = encode_events([{"type": "track", "event": "Bought"}, {"type": "page"}])
EXAMPLES = [
    frames.Hello(1, None),
    frames.Hello(1, "token"),
    frames.Submit(7, "orders", 1, EVENTS),
    frames.Call(1, "list", {}),
    frames.Credit(1, 5),
    frames.Cancel(1),
    frames.Welcome(1, {"a": 1}, {"pid": 5}),
    frames.Accepted([1], [2], [0]),
    frames.Settled(1, 2, 0, 0, 0, {"delivered": 2}, {"bad_request": b"x"}),
    frames.Result(1, None),
    frames.Result(1, [{"a": 1.5}]),
    frames.Error(1, "not_found", "no", "", {}),
    frames.Item(1, {}),
    frames.End(1),
    frames.Delivered([1, 2], [1, 100]),
]


def table_of(frame: wire.Frame) -> dict[int, type[wire.Frame]]:
    return frames.FROM_CLIENT if type(frame) in frames.FROM_CLIENT.values() else frames.FROM_DAEMON


@pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_every_frame_comes_back_as_it_was(frame: wire.Frame) -> None:
    (body,) = wire.FrameBuffer(1 << 20).feed(frame.pack())
    assert frames.decode(body, table_of(frame)) == frame


def test_every_frame_has_an_example() -> None:
    kinds = {*frames.FROM_CLIENT.values(), *frames.FROM_DAEMON.values()}
    assert {type(example) for example in EXAMPLES} == kinds


def test_a_submit_s_columns_stand_in_its_frame() -> None:
    assert msgpack.unpackb(
        frames.Submit(7, "orders", 1, EVENTS).pack()[wire.LENGTH.size :], strict_map_key=False
    ) == [
        frames.Submit.KIND,
        7,
        "orders",
        1,
        *EVENTS,
    ]


@given(st.binary(max_size=200))
def test_whatever_the_bytes_decoding_ends_in_a_frame_or_a_wire_error(body: bytes) -> None:
    for table in (frames.FROM_CLIENT, frames.FROM_DAEMON):
        with contextlib.suppress(wire.WireError):
            assert isinstance(frames.decode(body, table), wire.Frame)


@given(st.data())
def test_a_good_frame_with_a_byte_changed_never_escapes_the_checks(data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from(EXAMPLES))
    body = bytearray(frame.pack()[wire.LENGTH.size :])
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(wire.WireError):
        changed = frames.decode(bytes(body), table_of(frame))
        if isinstance(changed, frames.Submit):
            wire.check_events(changed.events)

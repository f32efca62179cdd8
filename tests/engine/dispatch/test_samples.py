"""The last events of each type, by frames."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from engine.dispatch.samples import Samples
from engine.events import encode_events


def event(kind: str, number: int) -> dict[str, Any]:
    return {"type": kind, "messageId": str(number)}


@given(
    st.lists(st.lists(st.sampled_from(["track", "page", "alias"]), min_size=1, max_size=8), max_size=6),
    st.integers(0, 4),
)
def test_the_last_of_each_type_are_kept_in_order(frames: list[list[str]], kept: int) -> None:
    samples = Samples(kept)
    sent: list[dict[str, Any]] = []
    for kinds in frames:
        events = [event(kind, len(sent) + at) for at, kind in enumerate(kinds)]
        sent += events
        samples.keep(encode_events(events))
    for kind in ("track", "page", "alias"):
        wanted = [item for item in sent if item["type"] == kind]
        assert [msgpack.unpackb(body) for body in samples.bodies(kind)] == wanted[
            max(0, len(wanted) - kept) :
        ]
    assert len(samples.bodies()) == sum(len(samples.bodies(kind)) for kind in ("track", "page", "alias"))


def test_another_number_to_keep_holds_from_now_on() -> None:
    samples = Samples(3)
    samples.keep(encode_events([event("track", at) for at in range(3)]))
    samples.resize(2)
    assert [msgpack.unpackb(body)["messageId"] for body in samples.bodies()] == ["1", "2"]
    samples.resize(0)
    samples.keep(encode_events([event("track", 9)]))
    assert samples.bodies() == []

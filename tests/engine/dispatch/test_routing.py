"""A source's events → what each destination gets."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from filter_model import EVENTS, RULES, passed, written_rules
from hypothesis import given
from hypothesis import strategies as st

from engine.dispatch.routing import INTEGRATIONS_MAX, Route, route
from engine.errors import InvalidEvent
from engine.events import encode_events
from engine.filters.headers import header_filter
from engine.filters.parsing import parse


def to(name: str, source: str = "") -> Route:
    return Route(1, (f"{name} (main)", name), header_filter(parse(source)))


def ids(events: list[dict[str, Any]], *routes: Route) -> list[list[str]]:
    """Message ids that each destination gets."""
    return [
        routed.events.message_ids if routed.events is not None else []
        for routed in route(encode_events(events), routes)
    ]


def track(message_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": message_id, "event": "e", **more}


def test_without_filter_and_wishes_every_destination_gets_the_columns_as_they_came() -> None:
    events = encode_events([track("a"), track("b", integrations={"All": True, "d": {"option": 1}})])
    assert [routed.events is events for routed in route(events, [to("d"), to("e")])] == [True, True]


@pytest.mark.parametrize(
    ("wishes", "names"),
    [
        ({}, ["one", "two"]),
        ({"All": False}, []),
        ({"All": False, "one": True}, ["one"]),
        ({"All": False, "one": {"option": "x"}}, ["one"]),
        ({"one": False}, ["two"]),
        ({"one (main)": False}, ["two"]),
        ({"All": False, "two (main)": True}, ["two"]),
        ({"one": False, "one (main)": True}, ["one", "two"]),
        ({"One": False, "TWO": False, "all": False}, ["one", "two"]),
        ({"one (other)": False}, ["one", "two"]),
        ({"All": None, "one": True}, ["one"]),
    ],
)
def test_integrations_say_where_an_event_goes_letter_by_letter(
    wishes: dict[str, Any], names: list[str]
) -> None:
    got = ids([track("a", integrations=wishes)], to("one"), to("two"))
    assert [name for name, events in zip(["one", "two"], got, strict=True) if events] == names


def test_what_is_filtered_and_what_is_excluded_is_counted_apart() -> None:
    events = encode_events(
        [track("a"), {"type": "page", "messageId": "b"}, track("c", integrations={"d": False}), track("d")]
    )
    (routed,) = route(events, [to("d", 'type = "track"')])
    assert routed.events is not None
    assert routed.events.message_ids == ["a", "d"]
    assert (routed.filtered, routed.excluded) == (1, 1)
    assert msgpack.unpackb(routed.events.bodies[-routed.events.sizes[-1] :]) == track("d")


def test_a_destination_that_gets_nothing_gets_no_columns() -> None:
    (routed,) = route(encode_events([track("a")]), [to("d", "drop")])
    assert routed.events is None
    assert routed.filtered == 1


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        msgpack.packb([1]),
        msgpack.packb({"d": 1}),
        msgpack.packb({1: True}),
        b"\xdf\xff\xff\xff\xff",
        msgpack.packb({str(number): True for number in range(INTEGRATIONS_MAX + 1)}),
    ],
)
def test_a_header_that_is_no_map_of_wishes_is_refused(header: bytes) -> None:
    events = encode_events([track("a"), track("b")])._replace(integrations={1: header})
    with pytest.raises(InvalidEvent) as caught:
        route(events, [to("d")])
    assert caught.value.data == {"index": 1}


@given(RULES, st.lists(EVENTS, min_size=1, max_size=6))
def test_no_event_is_kept_away_that_the_whole_filter_would_let_pass(
    rules: Any, events: list[dict[str, Any]]
) -> None:
    columns = encode_events(events)
    (routed,) = route(columns, [to("d", written_rules(rules))])
    got = [] if routed.events is None else list(bodies(routed.events))
    assert routed.filtered == len(events) - len(got)
    wanted = [body for event, body in zip(events, bodies(columns), strict=True) if passed(rules, event, body)]
    rest = iter(got)
    assert all(body in rest for body in wanted)


def bodies(events: Any) -> Any:
    start = 0
    for size in events.sizes:
        yield events.bodies[start : start + size]
        start += size

"""The filter language: what it says, what it refuses, and that supervisor and worker agree."""

from __future__ import annotations

import copy
import time
from typing import Any

import msgpack
import pytest
from filter_model import EVENTS, RULES, passed, written_rules
from hypothesis import example, given

from engine.events import encode_event
from engine.filters.headers import header_filter
from engine.filters.parsing import DEPTH_MAX, PARTS_MAX, RULES_MAX, SOURCE_CHARS_MAX, parse
from engine.filters.program import program_of
from engine.filters.tokens import FilterError
from engine.filters.tree import All, Comparison, Exists, Not, Rule, Some
from sandbox.filters import Filter
from sandbox.wire import sample_position

ORDER: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m-1",
    "userId": "u1",
    "properties": {
        "total": 120.5,
        "currency": "EUR",
        "coupon": None,
        "gift": False,
        "tags": ["vip", "new", 5],
        "items": [{"sku": "A-1"}, {"sku": "B-2"}],
        "my key": "x",
    },
    "context": {"ip": "203.0.113.7", "page": {"path": "/shop/42", "title": "Shop"}},
}


def run(source: str, event: dict[str, Any]) -> dict[str, Any] | None:
    """What the handler gets."""
    event = copy.deepcopy(event)
    program = program_of(parse(source))
    if program and not Filter(program).passes(event, msgpack.packb(event)):
        return None
    return event


@pytest.mark.parametrize(
    "condition",
    [
        'type = "track"',
        "type = 'track' and properties.total > 100",
        'type != "page" and not (properties.total <= 100 or properties.currency = "USD")',
        "properties.total >= 120.5",
        'event match "Order *"',
        'event match "*C?mpleted"',
        'event contains "Comp"',
        'properties.tags contains "vip"',
        "properties.tags contains 5",
        "exists properties.total",
        "exists(properties.total)",
        "properties.gift exists",
        "not exists properties.coupon",
        "properties.coupon = null",
        "properties.nothing.at.all = null",
        "properties.gift = false",
        "properties.gift != 0",
        'properties.items.1.sku = "B-2"',
        'properties."my key" = "x"',
        'context.page.path match "/shop/*"',
        'type = "page" or type = "track" and exists userId',
        "not not exists userId",
        'properties.currency < "USD"',
        '\n# orders only\ntype = "track"  # all of them\n  and exists userId\n',
        '(\n  type = "track"\n  or\n  type = "page"\n)',
    ],
)
def test_a_condition_alone_lets_pass_what_it_holds_for(condition: str) -> None:
    assert run(condition, ORDER) == ORDER
    assert run(f"drop if {condition}", ORDER) is None


@pytest.mark.parametrize(
    "condition",
    [
        'type = "Track"',
        'properties.total = "120.5"',
        'properties.total > "1"',
        "properties.currency > 1",
        "properties.gift = null",
        "properties.gift = 0",
        "exists properties.coupon",
        'event match "Order"',
        'event match "order *"',
        'properties.total match "*"',
        'properties.tags contains "vi"',
        "properties.items.7.sku exists",
        "properties.total.amount exists",
    ],
)
def test_a_condition_alone_drops_the_others(condition: str) -> None:
    assert run(condition, ORDER) is None
    assert run(f"drop if {condition}", ORDER) == ORDER


def test_every_rule_must_let_an_event_pass() -> None:
    assert run('type = "track"; drop if properties.total < 100', ORDER) == ORDER
    assert run('type = "track"\ndrop if properties.total > 100', ORDER) is None
    assert run("drop", ORDER) is None
    assert run("  \n ; # nothing\n", ORDER) == ORDER


def test_properties_are_removed_or_only_some_allowed() -> None:
    removed = run("remove context.ip, properties.items, properties.nothing", ORDER)
    assert removed is not None
    assert removed["context"] == {"page": ORDER["context"]["page"]}
    assert "items" not in removed["properties"]
    allowed = run('allow properties.total, properties.tags, context.page.path if type = "track"', ORDER)
    assert allowed is not None
    assert allowed["properties"] == {"total": 120.5, "tags": ["vip", "new", 5]}
    assert allowed["context"] == {"page": {"path": "/shop/42"}}
    assert allowed["userId"] == "u1"
    assert run('remove userId if type = "page"', ORDER) == ORDER


def test_conditions_look_at_the_event_as_it_came() -> None:
    changed = run(
        "remove properties.total\nproperties.total > 100\nremove userId if exists properties.total", ORDER
    )
    assert changed is not None
    assert "total" not in changed["properties"]
    assert "userId" not in changed


def test_a_sample_is_the_share_that_was_asked_for_and_the_same_each_time() -> None:
    events = [{"type": "track", "messageId": f"m{number}"} for number in range(4_000)]
    kept = [event["messageId"] for event in events if run("sample 12.5%", event)]
    assert 400 < len(kept) < 600
    assert kept == [event["messageId"] for event in events if run("sample 12.5%", event)]
    assert set(kept) <= {event["messageId"] for event in events if run("sample 50%", event)}
    assert [run("sample 0%", event) for event in events[:50]] == [None] * 50
    assert [run("sample 100%", event) for event in events[:50]] == events[:50]
    assert [run('sample 0% if type = "page"', event) for event in events[:50]] == events[:50]


def test_without_a_message_id_the_body_decides_who_is_sampled() -> None:
    events = [{"type": "track", "properties": {"n": number}} for number in range(1_000)]
    assert 350 < sum(run("sample 50%", event) is not None for event in events) < 650


@pytest.mark.parametrize(
    ("source", "at", "message", "remedy"),
    [
        ('type == "track"', (1, 6), "== means nothing here", "write = instead"),
        ('type = "a" && event = "b"', (1, 12), "&& means nothing", "write `and` instead"),
        ('type = "a" AND event = "b"', (1, 12), "'AND' is not expected", "`and` in small letters"),
        ("type = track", (1, 8), "a value is missing", 'put text in quotes: "track"'),
        ("type", (1, 5), "an operator is missing before the end", "use one of = !="),
        ('"track" = type', (1, 1), "a field is missing", "write the field first"),
        ('type = "track', (1, 8), '" means nothing here', "end the text with the same quote"),
        ('(type = "track"', (1, 16), ") is missing", "close what was opened"),
        ('type = "a"\n  event event', (2, 9), "an operator is missing", "use one of"),
        ('type = "a")', (1, 11), "')' is not expected", "end the rule"),
        ("properties.total > true", (1, 20), "> wants a number or a text", "use = or !="),
        ("event match 5", (1, 13), "match wants a text", "for example match"),
        ("sample 110%", (1, 8), "a percentage is 0 to 100", "sample 10%"),
        ("sample 10", (1, 10), "a percentage ends with %", "sample 10%"),
        ("sample", (1, 7), "sample wants a percentage", "sample 10%"),
        ("remove type", (1, 8), "type can't be removed", "handlers rely on it"),
        ("allow properties", (1, 7), "can't be the whole", "allow properties.total"),
        ("properties..total = 1", (1, 12), "a name is missing", "properties.total"),
        ("properties.my-key = 1", (1, 14), "- means nothing here", "in quotes"),
        (r'event = "\d"', (1, 10), r"\d is no escape", "use"),
        ("a = 99999999999999999999", (1, 5), "too large", "64 bits"),
        ("a = 1e999", (1, 5), "too large", "1e308"),
    ],
)
def test_an_error_names_place_reason_and_remedy(
    source: str, at: tuple[int, int], message: str, remedy: str
) -> None:
    with pytest.raises(FilterError) as caught:
        parse(source)
    error = caught.value
    assert (error.data["line"], error.data["column"]) == at
    assert message in error.message
    assert remedy in error.remedy
    line, caret = error.message.splitlines()[-2:]
    assert line == "    " + source.splitlines()[at[0] - 1]
    assert caret == "    " + " " * (at[1] - 1) + "^"


@pytest.mark.parametrize(
    "source",
    [
        "(" * (DEPTH_MAX + 1) + "exists a" + ")" * (DEPTH_MAX + 1),
        "not " * 10_000 + "exists a",
        " or ".join(["exists a"] * (PARTS_MAX + 1)),
        "drop;" * (RULES_MAX + 1),
        "a" * (SOURCE_CHARS_MAX + 1),
        "a." * 16 + "a exists",
        f'a = "{"x" * 257}"',
        "(" * SOURCE_CHARS_MAX,
    ],
)
def test_length_depth_and_number_of_parts_are_bounded(source: str) -> None:
    with pytest.raises(FilterError):
        parse(source[: SOURCE_CHARS_MAX + 1])


def test_what_is_just_allowed_is_compiled_and_run() -> None:
    deep = "not (" * (DEPTH_MAX // 2) + "exists userId" + ")" * (DEPTH_MAX // 2)
    assert run(deep, ORDER) == ORDER
    assert run(" or ".join(["exists nothing"] * (PARTS_MAX - 1) + ["exists userId"]), ORDER) == ORDER


def test_a_glob_can_not_run_away() -> None:
    event = {"type": "track", "event": "a" * 30_000}
    begun = time.process_time()
    assert run(f'event match "{"*a" * 100}*b"', event) is None
    assert run(f'event match "{"*?" * 100}*"', event) == event
    assert time.process_time() - begun < 5


@given(RULES, EVENTS)
def test_rules_mean_what_the_plain_model_says(rules: tuple[Rule, ...], event: dict[str, Any]) -> None:
    body = msgpack.packb(event)
    given_event = msgpack.unpackb(body)
    program = program_of(rules)
    passes = not program or Filter(program).passes(given_event, body)
    assert (given_event if passes else None) == passed(rules, event, body)


@given(RULES, EVENTS)
@example((Rule("keep", Comparison(("userId",), "!=", "u1")),), {"type": "track", "anonymousId": "u1"})
@example((Rule("drop", Comparison(("messageId",), "=", None)),), {"type": "track", "messageId": 5})
def test_headers_drop_only_what_the_whole_event_would(rules: tuple[Rule, ...], event: dict[str, Any]) -> None:
    type_index, message_id, user_key, body = encode_event(event)
    headers = header_filter(rules)
    if headers is None:
        return
    verdict = headers.by_type[type_index]
    position = sample_position(message_id, body)
    drops = verdict == 0 or (verdict == 2 and headers.drops(type_index, message_id, user_key, position))
    if drops:
        assert passed(rules, event, body) is None
    if verdict == 1:
        assert not headers.drops(type_index, message_id, user_key, position)


def test_headers_decide_what_they_can() -> None:
    def dropped(source: str, **event: Any) -> bool:
        type_index, message_id, user_key, body = encode_event({"type": "track", **event})
        headers = header_filter(parse(source))
        if headers is None:
            return False
        return headers.drops(type_index, message_id, user_key, sample_position(message_id, body))

    assert dropped('type = "page"')
    assert dropped('type = "page" and properties.total > 5')
    assert dropped('drop if type = "track" or exists properties.total')
    assert not dropped("properties.total > 5")
    assert dropped('messageId match "a*"', messageId="b1")
    assert dropped('userId = "u1"', userId="u2")
    assert dropped('drop if userId != "u1"', userId="u2")
    assert not dropped('userId = "u1"', userId="u1")
    assert dropped("sample 0%", messageId="m")
    assert not dropped("sample 0% if exists properties.total", messageId="m")
    assert header_filter(parse("exists properties.total\nremove properties.ip")) is None


@given(RULES)
def test_what_is_written_is_read_again(rules: tuple[Rule, ...]) -> None:
    assert parse(written_rules(rules)) == rules


def test_the_tree_is_as_one_reads_it() -> None:
    assert parse("exists a or not b = 1 and c < 2") == (
        Rule(
            "keep",
            Some(
                (
                    Exists(("a",)),
                    All((Not(Comparison(("b",), "=", 1)), Comparison(("c",), "<", 2))),
                )
            ),
        ),
    )

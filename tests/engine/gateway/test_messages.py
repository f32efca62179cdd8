"""A document of a client → events, completed."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgpack
import pytest

from engine.gateway.tracking.bodies import BadBody
from engine.gateway.tracking.messages import (
    BATCH_EVENTS_MAX,
    FRAME_BYTES_MAX,
    Arrival,
    Refused,
    batch,
    single,
    write_key_of,
)
from sandbox.wire import Events, check_events

RECEIVED = "2026-11-24T12:00:00.000Z"
NOON_MS = 1_795_521_600_000


def arrival() -> Arrival:
    numbers = itertools.count(1)
    return Arrival.at(NOON_MS, lambda: f"new-{next(numbers)}")


def bodies(frames: list[Events]) -> list[dict[str, Any]]:
    found = []
    for frame in frames:
        check_events(frame)
        unpacker = msgpack.Unpacker()
        unpacker.feed(frame.bodies)
        found += list(unpacker)
    return found


def track(document: Any) -> tuple[list[dict[str, Any]], Refused]:
    refused = Refused()
    return bodies(list(single(document, "track", arrival(), refused))), refused


def sent(document: Any) -> tuple[list[dict[str, Any]], Refused]:
    refused = Refused()
    return bodies(list(batch(document, arrival(), refused))), refused


def event(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u", "event": "Seen", "messageId": "m", **fields}


def test_an_event_of_a_call_gets_the_type_of_its_path_and_what_it_lacks() -> None:
    found, refused = track({"type": "page", "anonymousId": "a", "event": "Seen", "writeKey": "secret"})
    assert found == [
        {
            "type": "track",
            "anonymousId": "a",
            "event": "Seen",
            "messageId": "new-1",
            "receivedAt": RECEIVED,
            "timestamp": RECEIVED,
        }
    ]
    assert refused.count == 0


def test_a_time_is_corrected_and_what_it_was_stays() -> None:
    [found], _ = track(event(timestamp="2026-11-24T10:59:00Z", sentAt="2026-11-24T11:00:00Z"))
    assert found["timestamp"] == "2026-11-24T11:59:00.000Z"
    assert found["originalTimestamp"] == "2026-11-24T10:59:00Z"
    assert (found["sentAt"], found["receivedAt"]) == ("2026-11-24T11:00:00Z", RECEIVED)


def test_a_library_that_names_its_time_otherwise_is_understood() -> None:
    [found], _ = track(event(originalTimestamp="2026-11-24T10:59:00Z", sentAt="2026-11-24T11:00:00Z"))
    assert found["timestamp"] == "2026-11-24T11:59:00.000Z"
    assert found["originalTimestamp"] == "2026-11-24T10:59:00Z"


def test_what_a_batch_says_for_all_is_merged_into_each_and_the_event_itself_wins() -> None:
    found, _ = sent(
        {
            "context": {"ip": "192.0.2.1", "locale": "de"},
            "integrations": {"All": False, "shop": True},
            "sentAt": "2026-11-24T11:00:00Z",
            "writeKey": "secret",
            "batch": [
                event(messageId="a", timestamp="2026-11-24T10:00:00Z", writeKey="secret"),
                event(messageId="b", context={"locale": "en"}, integrations={"shop": False}),
            ],
        }
    )
    assert [item["context"] for item in found] == [
        {"ip": "192.0.2.1", "locale": "de"},
        {"ip": "192.0.2.1", "locale": "en"},
    ]
    assert [item["integrations"] for item in found] == [
        {"All": False, "shop": True},
        {"All": False, "shop": False},
    ]
    assert [item["timestamp"] for item in found] == ["2026-11-24T11:00:00.000Z", RECEIVED]
    assert all(item["sentAt"] == "2026-11-24T11:00:00Z" and "writeKey" not in item for item in found)


def test_an_event_of_a_batch_that_says_itself_when_it_was_sent_is_corrected_by_that() -> None:
    found, _ = sent({"batch": [event(timestamp="2026-11-24T10:59:00Z", sentAt="2026-11-24T11:00:00Z")]})
    assert found[0]["timestamp"] == "2026-11-24T11:59:00.000Z"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (event(userId=None), "neither a userId nor an anonymousId"),
        (event(userId="", anonymousId=""), "neither a userId nor an anonymousId"),
        (event(userId={}), "neither a userId nor an anonymousId"),
        (event(event=None), "no `event`"),
        (event(event=""), "no `event`"),
        (event(messageId="m" * 100), "100 characters or more"),
        (event(messageId=7), "messageId is no text"),
        (event(properties={"a": "x" * 40_000}), "33792 are allowed"),
        (event(properties={str(number): 1 for number in range(10_001)}), "33792 are allowed"),
        (event(integrations={str(number): False for number in range(401)}), "400 are allowed"),
        ({"type": "shout", "userId": "u"}, "no type of event"),
        ({"userId": "u"}, "no type of event"),
        (event(properties=json.loads("[" * 300 + "1" + "0" * 30 + "]" * 300)), "nested too deeply"),
        ("text", "is an object"),
        (None, "is an object"),
    ],
)
def test_one_event_that_can_not_be_taken_is_told_and_keeps_no_other_away(wrong: Any, message: str) -> None:
    found, refused = sent({"batch": [event(messageId="a"), wrong, event(messageId="b")]})
    assert [item["messageId"] for item in found] == ["a", "b"]
    assert [item["index"] for item in refused.told] == [1]
    assert message in refused.told[0]["message"]


def test_a_message_id_of_99_characters_and_a_number_for_a_user_are_taken() -> None:
    found, refused = sent({"batch": [event(messageId="m" * 99), event(userId=17)]})
    assert (len(found), refused.count) == (2, 0)


def test_of_many_that_can_not_be_taken_the_first_are_told() -> None:
    _, refused = sent({"batch": [None] * 2_500})
    assert (refused.count, len(refused.told)) == (2_500, 20)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "a list of events"),
        ({}, "a list of events"),
        ({"batch": []}, "a list of events"),
        ({"batch": {}}, "a list of events"),
        ({"batch": [{}] * (BATCH_EVENTS_MAX + 1)}, "2500 are allowed"),
        ({"batch": [{}], "context": []}, "context is no object"),
        ({"batch": [{}], "integrations": "x"}, "integrations is no object"),
        ({"batch": [{}], "context": {"a": "x" * 200_000}}, "longer than an event may be"),
    ],
)
def test_a_batch_that_can_not_be_taken_at_all_is_refused_whole(document: Any, message: str) -> None:
    with pytest.raises(BadBody, match=message):
        sent(document)


def test_what_msgpack_can_not_carry_becomes_floats_and_replacement_characters() -> None:
    [found], _ = track(event(properties={"huge": 10**30, "text": "a\ud800b", "nan": float("inf")}))
    assert found["properties"] == {"huge": 1e30, "text": "a\ufffdb", "nan": float("inf")}


def test_a_batch_that_grows_by_its_context_is_cut_into_frames() -> None:
    refused = Refused()
    document = {
        "context": {"a": "x" * 10_000},
        "batch": [event(messageId=str(number)) for number in range(300)],
    }
    frames = list(batch(document, arrival(), refused))
    assert all(len(frame.bodies) < FRAME_BYTES_MAX + 33_792 for frame in frames)
    assert (len(frames) > 1, sum(len(frame.sizes) for frame in frames)) == (True, 300)


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"writeKey": "k"}, "k"),
        ({"batch": [{"writeKey": "k"}]}, "k"),
        ({"writeKey": "k", "batch": [{"writeKey": "other"}]}, "k"),
        ({"writeKey": 1}, None),
        ({"batch": [1]}, None),
        ([], None),
    ],
)
def test_a_document_may_carry_the_write_key(document: Any, key: str | None) -> None:
    assert write_key_of(document) == key

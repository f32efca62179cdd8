"""Submits → chunks and claims: pure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.dispatch.intake import Origin, Portion, Submit, claims_of, count_duplicates, draft_chunks
from engine.events import encode_events
from engine.journal.contract import Claim, SharedClaim
from sandbox.wire import CHUNK_EVENTS_MAX, Events


def lane(number: int) -> Any:
    return SimpleNamespace(destination=SimpleNamespace(id=number))


LANES = {number: lane(number) for number in (1, 2, 3)}


def events(*names: str) -> Events:
    return encode_events({"type": "track", "messageId": name} for name in names)


def direct(number: int, *names: str, is_deduped: bool = True) -> Submit:
    return Submit([Portion(LANES[number], events(*names))], lambda *_: None, None, is_deduped)


def sourced(names: list[str], gets: dict[int, list[int]]) -> Submit:
    portions = [
        Portion(LANES[number], events(*[names[at] for at in places]), places)
        for number, places in gets.items()
        if places
    ]
    return Submit(portions, lambda *_: None, None, origin=Origin(-7, names))


def test_small_submits_to_one_destination_become_one_chunk_and_one_claim() -> None:
    drafts = draft_chunks([direct(1, "a"), direct(2, "b"), direct(1, "c", "d")])
    assert [(draft.lane.destination.id, draft.count) for draft in drafts] == [(1, 3), (2, 1)]
    assert claims_of(drafts) == [Claim(0, 0, 3, 1), Claim(1, 0, 1, 2)]


def test_what_is_not_to_be_deduped_is_not_claimed() -> None:
    drafts = draft_chunks([direct(1, "a"), direct(1, "b", is_deduped=False), direct(1, "c")])
    assert claims_of(drafts) == [Claim(0, 0, 1, 1), Claim(0, 2, 3, 1)]


def test_a_source_has_one_claim_beside_what_was_sent_directly() -> None:
    drafts = draft_chunks([direct(1, "x"), sourced(["a", "b", "c"], {1: [0, 2], 2: [1]})])
    first, second = claims_of(drafts)
    assert first == Claim(0, 0, 1, 1)
    assert isinstance(second, SharedClaim)
    assert (second.scope, second.message_ids) == (-7, ["a", "b", "c"])
    assert [(place.chunk, place.start, list(place.events)) for place in second.places] == [
        (0, 1, [0, 2]),
        (1, 0, [1]),
    ]


def test_a_source_is_told_events_and_deliveries_that_are_duplicates() -> None:
    submit = sourced(["a", "b", "c"], {1: [0, 1, 2], 2: [1, 2]})
    for draft, remaining in zip(draft_chunks([submit]), (0b101, 0b10), strict=True):
        count_duplicates(draft, remaining)
    assert (submit.duplicates, submit.lost) == ({1}, 2)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([1, 2, 3]), st.sets(st.integers(0, 249)).map(sorted), min_size=1, max_size=3
        ),
        max_size=4,
    )
)
def test_every_copy_stands_where_its_claim_says(submits: list[dict[int, list[int]]]) -> None:
    names = [[f"{number}-{at}" for at in range(250)] for number in range(len(submits))]
    drafts = draft_chunks([sourced(own, gets) for own, gets in zip(names, submits, strict=True)])
    assert all(0 < draft.count <= CHUNK_EVENTS_MAX for draft in drafts)
    stored = [[name for part in draft.parts for name in part.message_ids] for draft in drafts]
    found: list[tuple[int, str]] = []
    for claim in claims_of(drafts):
        assert isinstance(claim, SharedClaim)
        for place in claim.places:
            for offset, event in enumerate(place.events):
                assert stored[place.chunk][place.start + offset] == claim.message_ids[event]
                found.append((drafts[place.chunk].lane.destination.id, claim.message_ids[event]))
    wanted = [
        (number, own[at])
        for own, gets in zip(names, submits, strict=True)
        for number, places in gets.items()
        for at in places
    ]
    assert sorted(found) == sorted(wanted)

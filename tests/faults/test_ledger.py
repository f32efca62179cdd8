"""The ledger of the fault runs finds what it is there to find."""

from __future__ import annotations

from faults.ledger import Kill, Ledger

LATENCY_S = {"quick": 0.0, "late": 0.5}


def ledger(*acked: str, **known: object) -> Ledger:
    return Ledger(acked=dict.fromkeys(acked, 10.0), **known)  # type: ignore[arg-type]  # a test's shorthand


def test_an_event_is_accounted_for_by_name_wherever_it_is() -> None:
    seen = ledger(
        "quick/1", "quick/2", "quick/3", stored=frozenset({"quick/2"}), shelved=frozenset({"quick/3"})
    )
    seen.delivered["quick/1"] += 1
    assert seen.unaccounted() == set()


def test_a_doubled_event_does_not_stand_in_for_a_lost_one() -> None:
    seen = ledger("quick/1", "quick/2")
    seen.delivered["quick/1"] += 2
    assert seen.lost(LATENCY_S) == {"quick/2"}


def test_what_was_in_the_file_at_the_last_kill_must_be_accounted_for() -> None:
    seen = ledger("quick/1", "quick/2", kills=[Kill(11.0, frozenset({"quick/1"}), frozenset())])
    assert seen.lost(LATENCY_S) == {"quick/1"}
    assert seen.unseen() == {"quick/2"}


def test_what_was_acknowledged_and_can_not_have_ended_must_be_in_the_file() -> None:
    seen = ledger("late/1", kills=[Kill(10.2, frozenset(), frozenset())])
    assert seen.lost(LATENCY_S) == {"late/1"}
    seen = ledger("late/1", kills=[Kill(10.6, frozenset(), frozenset())])
    assert seen.lost(LATENCY_S) == set()


def test_an_event_is_doubled_only_by_a_kill_that_left_it_unsettled() -> None:
    seen = ledger("quick/1", "quick/2", kills=[Kill(11.0, frozenset({"quick/1"}), frozenset())])
    seen.delivered.update({"quick/1": 2, "quick/2": 2})
    assert seen.doubled() == {"quick/1", "quick/2"}
    assert seen.doubled_without_a_kill() == {"quick/2"}

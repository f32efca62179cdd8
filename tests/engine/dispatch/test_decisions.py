"""The pure decisions of dispatch."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dispatch import retrying, scheduling
from engine.model import OUTCOMES, Limits, Stop
from sandbox.wire import OUTCOME_CODES

HOUR_MS = 3_600_000


def decide(
    code: str, *, attempt: int = 1, age_ms: int = 0, after_ms: int = 0, seed: int = 1
) -> retrying.Verdict:
    return retrying.decide(
        code,
        attempt=attempt,
        age_ms=age_ms,
        now_ms=age_ms,
        after_ms=after_ms,
        limits=Limits(),
        rng=random.Random(seed),
    )


@pytest.mark.parametrize(
    ("code", "kind", "is_failure"),
    [
        ("delivered", "delivered", False),
        ("filtered", "counted", False),
        ("dropped", "counted", False),
        ("unsupported_event_type", "counted", False),
        ("bad_request", "discarded", True),
        ("invalid_settings", "discarded", False),
        ("message_rejected", "discarded", False),
        ("retry", "retry", True),
        ("timeout", "retry", True),
        ("memory_limit", "retry", True),
        ("crashed", "retry", True),
        ("load_failed", "retry", True),
    ],
)
def test_each_code_is_treated_as_the_table_says(code: str, kind: str, is_failure: bool) -> None:
    assert decide(code).kind == kind
    assert OUTCOMES[code].is_failure is is_failure


def test_every_code_of_the_wire_has_a_treatment() -> None:
    assert set(OUTCOMES) == set(OUTCOME_CODES)


@pytest.mark.parametrize("code", ["memory_limit", "crashed"])
def test_what_kills_workers_is_dead_after_three_attempts(code: str) -> None:
    assert decide(code, attempt=2).kind == "retry"
    assert decide(code, attempt=3).kind == "dead"


def test_only_what_crashed_a_worker_runs_alone() -> None:
    assert [code for code, how in OUTCOMES.items() if how.runs_alone] == ["crashed"]


def test_a_failure_within_four_hours_is_retried_and_after_them_dead() -> None:
    assert decide("retry", attempt=40, age_ms=4 * HOUR_MS - 1).kind == "retry"
    assert decide("retry", attempt=2, age_ms=4 * HOUR_MS).kind == "dead"


def test_age_alone_kills_nothing() -> None:
    assert decide("delivered", age_ms=400 * HOUR_MS).kind == "delivered"


def test_the_first_pause_is_about_a_second_and_each_pause_is_spread_up_to_twice_the_last_until_the_cap() -> (
    None
):
    for attempt, longest in ((1, 1_500), (2, 3_000), (3, 6_000), (30, 900_000), (10_000, 900_000)):
        pauses = [retrying.pause_ms(attempt, limits=Limits(), rng=random.Random(seed)) for seed in range(300)]
        assert 500 <= min(pauses) < 500 + 0.05 * longest
        assert 0.95 * longest < max(pauses) <= longest


@given(
    first_ms=st.integers(10, 3_600_000),
    more_ms=st.integers(0, 86_400_000),
    for_s=st.integers(1, 2_592_000),
    attempt=st.integers(1, 100_000),
    age_ms=st.integers(0, 10**10),
    after_ms=st.integers(0, 2**62),
)
def test_a_retry_is_never_at_once_nor_beyond_its_time_nor_before_it_was_asked_for(
    first_ms: int, more_ms: int, for_s: int, attempt: int, age_ms: int, after_ms: int
) -> None:
    limits = Limits(retry_first_ms=first_ms, retry_cap_ms=first_ms + more_ms, retry_for_s=for_s)
    verdict = retrying.decide(
        "retry",
        attempt=attempt,
        age_ms=age_ms,
        now_ms=age_ms,
        after_ms=after_ms,
        limits=limits,
        rng=random.Random(attempt),
    )
    left_ms = for_s * 1000 - age_ms
    assert (verdict.kind == "dead") == (left_ms <= 0)
    if verdict.kind == "retry":
        pause = verdict.due_ms - age_ms
        assert first_ms // 2 <= pause <= max(left_ms, first_ms // 2)
        assert pause >= min(after_ms, left_ms)


def test_a_handler_may_ask_for_a_later_retry_but_not_an_earlier_one() -> None:
    assert decide("retry", after_ms=60_000).due_ms == 60_000
    assert decide("retry", after_ms=1).due_ms >= 500


def test_what_a_handler_asks_for_beyond_the_four_hours_is_tried_once_more_at_their_end() -> None:
    assert decide("retry", age_ms=HOUR_MS, after_ms=1_000 * HOUR_MS).due_ms == 4 * HOUR_MS


def age(*stops: tuple[int, int | None], accepted_ms: int = 100, now_ms: int = 200) -> int:
    return retrying.age_of(accepted_ms, now_ms, [Stop("paused", *stop) for stop in stops])


def test_a_pause_stops_the_four_hours_of_what_it_kept_waiting_and_of_nothing_else() -> None:
    assert age() == 100
    assert age((10, 50)) == 100  # over before it was accepted
    assert age((90, 130)) == 70  # accepted while it lasted
    assert age((110, 120), (150, 160)) == 80
    assert age((150, None)) == 50  # it lasts
    assert age((90, None)) == 0


def test_a_worker_gets_one_event_until_it_is_known_how_long_one_takes() -> None:
    assert scheduling.allowance(None, frame_ms=20, concurrency=1) == 1
    assert scheduling.allowance(10.0, frame_ms=20, concurrency=1) == 2_000
    assert scheduling.allowance(50_000.0, frame_ms=20, concurrency=1) == 1
    assert scheduling.allowance(50_000.0, frame_ms=20, concurrency=16) == 16


def test_a_worker_is_filled_up_when_half_of_what_it_may_hold_is_through() -> None:
    assert scheduling.room(2_000, in_flight=0, concurrency=1) == 2_000
    assert scheduling.room(2_000, in_flight=1_000, concurrency=1) == 0
    assert scheduling.room(2_000, in_flight=999, concurrency=1) == 1_001
    assert scheduling.room(1, in_flight=0, concurrency=1) == 1
    assert scheduling.room(1, in_flight=1, concurrency=1) == 0


def test_of_what_waits_at_once_each_that_ends_makes_room_for_another() -> None:
    assert scheduling.room(16, in_flight=15, concurrency=16) == 1
    assert scheduling.room(16, in_flight=16, concurrency=16) == 0


def wanted(
    *, ready: int, mean: float | None, bound: int, running_us: float = 0.0, is_blocked: bool = True
) -> int:
    return scheduling.workers_wanted(
        ready=ready,
        mean=mean,
        bound=bound,
        running_us=running_us,
        is_blocked=is_blocked,
        concurrency=16,
        cpus=2,
        frame_ms=20,
    )


def test_what_is_slow_for_want_of_a_processor_gets_no_more_workers_than_there_are_processors() -> None:
    assert wanted(ready=1000, mean=50_000, bound=1, is_blocked=False) == 1


def test_slow_handlers_scale_out_to_their_concurrency_and_fast_ones_do_not() -> None:
    assert wanted(ready=1000, mean=50_000, bound=1) == 2
    assert wanted(ready=1000, mean=50_000, bound=12) == 16
    assert wanted(ready=100_000, mean=5, bound=1) == 1


def test_an_invocation_that_hangs_from_the_start_is_a_reason_to_scale_out() -> None:
    assert wanted(ready=5, mean=None, bound=1) == 1
    assert wanted(ready=5, mean=None, bound=1, running_us=30_000) == 2


def test_slots_are_left_to_destinations_without_a_worker() -> None:
    assert scheduling.slots_reserved(256) == 16
    assert scheduling.slots_reserved(1) == 0

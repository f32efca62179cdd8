"""The circuit breaker, as a table and driven through whole histories."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dispatch import breaker
from engine.dispatch.breaker import CLOSED, FAILURES_MAX, ROOM_MAX, Breaker, after
from engine.dispatch.states import TRANSITIONS, LaneState, check_transition

RUNNING, OPEN, PROBING = LaneState.RUNNING, LaneState.OPEN, LaneState.PROBING


def test_a_hundred_failures_in_a_row_open_it_and_ninety_nine_do_not() -> None:
    assert after(RUNNING, CLOSED, failed=99, succeeded=0) == (RUNNING, Breaker(failures=99))
    assert after(RUNNING, Breaker(failures=99), failed=1, succeeded=0) == (OPEN, Breaker(openings=1))


def test_one_success_among_them_begins_the_row_anew() -> None:
    assert after(RUNNING, Breaker(failures=99), failed=50, succeeded=1) == (RUNNING, CLOSED)


def test_what_still_runs_when_it_opens_changes_nothing() -> None:
    for failed, succeeded in ((500, 0), (0, 500)):
        assert after(OPEN, Breaker(openings=3), failed=failed, succeeded=succeeded) == (
            OPEN,
            Breaker(openings=3),
        )


def test_a_probe_that_fails_opens_it_again_and_one_that_succeeds_gives_room_for_one() -> None:
    assert after(PROBING, Breaker(openings=2), failed=1, succeeded=0) == (OPEN, Breaker(openings=3))
    assert after(PROBING, Breaker(openings=2), failed=0, succeeded=1) == (
        RUNNING,
        Breaker(openings=2, room=1),
    )
    assert after(PROBING, Breaker(openings=2), failed=0, succeeded=0) == (PROBING, Breaker(openings=2))


def test_it_opens_slowly_twice_as_wide_with_each_round_until_it_is_as_if_nothing_had_been() -> None:
    state, now = RUNNING, Breaker(openings=5, room=1)
    rounds = 0
    while now != CLOSED:
        state, now = after(state, now, failed=0, succeeded=now.room)
        rounds += 1
    assert rounds == ROOM_MAX.bit_length() - 1


def test_failures_while_it_opens_halve_its_room() -> None:
    assert after(RUNNING, Breaker(openings=1, room=64), failed=1, succeeded=0)[1].room == 32
    assert after(RUNNING, Breaker(openings=1, room=1), failed=1, succeeded=0)[1].room == 1


def test_probes_come_after_a_second_at_first_and_a_minute_at_most() -> None:
    rng = random.Random(1)
    for openings, longest in ((1, 1_000), (2, 2_000), (4, 8_000), (7, 60_000), (10_000, 60_000)):
        waits = [breaker.probe_after_ms(Breaker(openings=openings), rng) for _ in range(200)]
        assert longest // 2 <= min(waits)
        assert max(waits) <= longest


@pytest.mark.parametrize("state", [LaneState.PAUSED, LaneState.QUARANTINED, LaneState.REMOVED])
def test_it_has_no_say_where_a_person_stopped_the_destination(state: LaneState) -> None:
    assert after(state, CLOSED, failed=1_000, succeeded=0) == (state, CLOSED)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=60))
def test_no_history_leaves_the_table_or_opens_it_after_a_success(
    history: list[tuple[int, int]],
) -> None:
    state, now, row = RUNNING, CLOSED, 0
    for failed, succeeded in history:
        before = state
        state, now = after(state, now, failed=failed, succeeded=succeeded)
        if state is not before:
            check_transition(before, state)
        row = 0 if succeeded else row + failed
        if before is RUNNING:
            assert (state is OPEN) == (row >= FAILURES_MAX)
        if state is OPEN:
            state, row = PROBING, 0  # the backoff is over
        assert now == replace(now, failures=min(now.failures, FAILURES_MAX - 1))


def test_every_state_is_in_the_table_and_nothing_leaves_removed() -> None:
    assert set(TRANSITIONS) == set(LaneState)
    assert not TRANSITIONS[LaneState.REMOVED]
    with pytest.raises(ValueError, match="from paused to open"):
        check_transition(LaneState.PAUSED, LaneState.OPEN)

"""What a worker holds, and what it may report of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workers.holdings import Holdings, Run
from sandbox import wire

BAD = wire.CODE_INDEX["bad_request"]


def run(count: int, start: int = 0) -> Run:
    return Run(
        "owner",
        wire.Events(b"\x01" * count, [""] * count, [""] * count, {}, [1] * count, b"x" * count),
        start,
    )


def report(*ranges: tuple[int, int], failed: tuple[int, ...] = ()) -> wire.Outcomes:
    return wire.pack_outcomes(ranges, [wire.Failure(sequence, BAD, 0, b"d") for sequence in failed])


def held(*counts: int) -> tuple[Holdings, list[Run]]:
    holdings, runs = Holdings(), [run(count) for count in counts]
    holdings.take(runs)
    return holdings, runs


def test_numbers_rise_without_gaps_from_one() -> None:
    holdings = Holdings()
    assert [holdings.take([run(3)]), holdings.take([run(2), run(1)]), holdings.take([run(1)])] == [1, 4, 7]
    assert (holdings.last, holdings.in_flight, holdings.oldest()) == (7, 7, 1)


def test_a_range_may_cross_runs() -> None:
    holdings, (first, second) = held(3, 4)
    assert holdings.end(report((2, 4))).delivered == [(first, 1, 2), (second, 0, 2)]
    assert (holdings.in_flight, holdings.ended, holdings.oldest()) == (3, 4, 1)
    assert [each.open_places() for each in holdings.open_runs()] == [[0], [2, 3]]


def test_failures_are_told_with_their_rows() -> None:
    holdings, (only,) = held(3)
    ended = holdings.end(report((1, 1), failed=(3,)))
    assert ended.delivered == [(only, 0, 1)]
    assert [(each, offset, row.sequence) for each, offset, row in ended.failures] == [(only, 2, 3)]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(report(), id="nothing"),
        pytest.param(report((1, 0)), id="an empty range"),
        pytest.param(report((0, 1)), id="a number never given"),
        pytest.param(report((6, 1)), id="a number not given yet"),
        pytest.param(report((4, 3)), id="a range past the end"),
        pytest.param(report((2**64 - 1, 1)), id="the largest number"),
        pytest.param(report((1, 2**63)), id="an endless range"),
        pytest.param(report((1, 2), (2, 1)), id="twice in one frame"),
        pytest.param(report((1, 2), failed=(2,)), id="delivered and failed"),
        pytest.param(report((1, 5), failed=(9,)), id="good ones before a bad one"),
        pytest.param(report((3, 1)), id="one that has ended"),
        pytest.param(report(*[(1, 1)] * 6), id="more ranges than it holds events"),
    ],
)
def test_a_frame_that_no_honest_worker_sends_is_refused_and_everything_is_still_held(
    frame: wire.Outcomes,
) -> None:
    holdings, (only,) = held(5)
    holdings.end(report((3, 1)))
    with pytest.raises(wire.WireError):
        holdings.end(frame)
    assert only.open_places() == [0, 1, 3, 4]
    assert (holdings.in_flight, holdings.ended) == (4, 1)


def test_a_worker_that_holds_nothing_has_nothing_to_report() -> None:
    with pytest.raises(wire.WireError):
        Holdings().end(report((1, 1)))


def test_who_was_being_run_is_who_started_last() -> None:
    holdings, (first, second) = held(2, 2)
    assert holdings.running(0) == []
    assert holdings.running(1) == [(first, 0)]
    assert holdings.running(3) == [(second, 0)]
    assert holdings.started(3) == [(first, 0), (first, 1), (second, 0)]


def test_of_a_batch_all_are_being_run() -> None:
    holdings, runs = Holdings(), [run(2), run(1)]
    holdings.take([run(1)])
    holdings.take(runs, as_batch=True)
    holdings.end(report((1, 1)))
    assert holdings.running(2) == [(runs[0], 0), (runs[0], 1), (runs[1], 0)]
    assert holdings.running(1) == []


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_whatever_the_order_each_delivery_ends_once(counts: list[int], random: object) -> None:
    holdings, _ = held(*counts)
    numbers = list(range(1, holdings.last + 1))
    random.shuffle(numbers)  # type: ignore[attr-defined]
    seen: list[int] = []
    for number in numbers:
        for each, offset, count in holdings.end(report((number, 1))).delivered:
            seen += range(each.first + offset, each.first + offset + count)
    assert sorted(seen) == sorted(numbers)
    assert (holdings.in_flight, holdings.oldest(), holdings.open_runs()) == (0, 0, [])

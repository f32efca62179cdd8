from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.suite import comparing
from benchmarks.suite.comparing import chance_of, compare, smallest_chance
from benchmarks.suite.figures import Figure
from benchmarks.suite.program import Measure

CALM = (100.0, 101.0, 102.0, 103.0, 104.0)


def figure(
    values: tuple[float, ...], *, better: str = "more", ratios: tuple[float, ...] = (), baseline: str = ""
) -> Figure:
    return Figure("program", Measure("rate", "events/s", better, baseline), values, ratios)  # type: ignore[arg-type]


def times(values: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(value * factor for value in values)


def test_what_is_apart_in_every_run_is_as_unlikely_as_five_runs_can_say() -> None:
    assert chance_of(CALM, times(CALM, 2)) == pytest.approx(2 / 252)
    assert smallest_chance(5, 5) == pytest.approx(2 / 252)


def test_what_is_alike_is_likely() -> None:
    assert chance_of(CALM, CALM) == 1.0
    assert chance_of(CALM, (100.5, 101.5, 102.5, 103.5, 104.5)) > 0.3


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=6), st.lists(st.floats(0, 1e9), min_size=1, max_size=6)
)
def test_a_chance_is_a_share_and_knows_no_order_of_the_two(ours: list[float], theirs: list[float]) -> None:
    chance = chance_of(ours, theirs)
    assert 0 < chance <= 1
    assert chance == pytest.approx(chance_of(theirs, ours))


def test_every_way_to_deal_the_runs_is_tried() -> None:
    """The definition, spelled out for values without ties."""
    ours, theirs = (1.0, 2.0, 5.0, 7.0), (3.0, 4.0, 6.0, 8.0, 9.0)
    everything = sorted(ours + theirs)
    middle = len(ours) * (len(everything) + 1) / 2

    def lopsided(hand: tuple[float, ...]) -> float:
        return abs(sum(everything.index(value) + 1 for value in hand) - middle)

    hands = list(itertools.combinations(everything, len(ours)))
    assert chance_of(ours, theirs) == pytest.approx(
        sum(lopsided(hand) >= lopsided(ours) for hand in hands) / len(hands)
    )


def test_many_runs_are_drawn_and_answer_the_same_each_time() -> None:
    drawn = random.Random(3)
    ours = [drawn.gauss(100, 5) for _ in range(30)]
    theirs = [drawn.gauss(110, 5) for _ in range(30)]
    assert chance_of(ours, theirs) == chance_of(ours, theirs) < 0.001


def test_noise_alone_is_rarely_told_as_a_change() -> None:
    drawn = random.Random(5)
    told = 0
    for _ in range(500):
        before, after = (figure(tuple(drawn.gauss(100, 10) for _ in range(5))) for _ in range(2))
        told += compare([before], [after])[0].verdict in {"better", "worse"}
    assert told <= 500 * comparing.CHANCE_MAX * 1.5


@pytest.mark.parametrize(
    ("better", "factor", "verdict"),
    [("more", 1.2, "better"), ("more", 0.8, "worse"), ("less", 1.2, "worse"), ("less", 0.8, "better")],
)
def test_a_change_is_better_or_worse_by_what_is_wanted(better: str, factor: float, verdict: str) -> None:
    (change,) = compare([figure(CALM, better=better)], [figure(times(CALM, factor), better=better)])
    assert change.verdict == verdict
    assert change.factor == pytest.approx(factor)


def test_a_change_of_a_hundredth_is_not_worth_telling_however_sure() -> None:
    (change,) = compare([figure((100.0,) * 5)], [figure((101.0,) * 5)])
    assert change.chance == pytest.approx(2 / 252)
    assert change.verdict == "the same"


def test_few_runs_are_called_so() -> None:
    (change,) = compare([figure((1.0, 1.0, 1.0))], [figure((9.0, 9.0, 9.0))])
    assert change.verdict == "too few runs"


def test_figures_with_a_baseline_are_compared_by_their_ratios() -> None:
    """The machine is at half its speed: so is the floor."""
    before = figure(CALM, ratios=times(CALM, 0.005), baseline="floor")
    after = figure(times(CALM, 0.5), ratios=times(CALM, 0.005), baseline="floor")
    (change,) = compare([before], [after])
    assert (change.verdict, change.by_ratio) == ("the same", True)
    assert (change.before, change.after) == (102.0, 51.0)


def test_ratios_to_different_baselines_are_not_compared() -> None:
    before = figure(CALM, ratios=times(CALM, 0.005), baseline="floor")
    after = figure(CALM, ratios=times(CALM, 5), baseline="another")
    assert not compare([before], [after])[0].by_ratio


def test_what_only_one_has_is_told_and_what_was_skipped_is_not_there() -> None:
    skipped = Figure("program", Measure("rate", "events/s"), (), skipped="no redis")
    other = Figure("program", Measure("more", "ms"), CALM)
    assert [(change.name, change.verdict) for change in compare([skipped], [figure(CALM), other])] == [
        ("rate", "only in one"),
        ("more", "only in one"),
    ]
    assert compare([figure(CALM)], [skipped])[0].before == 102.0

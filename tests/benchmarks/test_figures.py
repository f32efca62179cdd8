from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.suite.figures import Figure, Run, figures_of, run_of
from benchmarks.suite.latencies import Latencies
from benchmarks.suite.program import Conditions, Measure, Program, Skipped, latency_measures


def program(*measures: Measure) -> Program:
    return Program(measures, lambda _: {}, warm_up="none")


def test_a_figure_is_the_median_of_its_runs_and_its_deviation_that_of_the_distances() -> None:
    (figure,) = figures_of(
        "p", program(Measure("rate", "events/s")), [Run({"rate": v}) for v in (1, 9, 4, 5, 100)]
    )
    assert (figure.median, figure.deviation) == (5, 4)
    assert figure.values == (1, 9, 4, 5, 100)
    assert figure.ratio is None


def test_a_ratio_is_of_two_numbers_of_one_run() -> None:
    """The machine slows down from run to run, and the ratio doesn't."""
    runs = [Run({"with": 80.0 / n, "without": 100.0 / n}, floor=200.0 / n) for n in (1, 2, 4)]
    figures = figures_of(
        "p",
        program(Measure("with", "/s", baseline="without"), Measure("without", "/s", baseline="floor")),
        runs,
    )
    assert [figure.ratio for figure in figures] == [pytest.approx(0.8), pytest.approx(0.5)]


def test_a_run_must_give_what_its_program_measures_and_nothing_else() -> None:
    with pytest.raises(KeyError):
        figures_of("p", program(Measure("a", "s")), [Run({"a": 1.0, "b": 1.0})])
    with pytest.raises(KeyError):
        figures_of("p", program(Measure("a", "s"), Measure("b", "s")), [Run({"a": 1.0})])


def test_a_skipped_number_has_its_reason_and_no_value() -> None:
    run = run_of({"a": 1, "b": Skipped("no redis-server: apt-get install redis-server")})
    _, figure = figures_of("p", program(Measure("a", "s"), Measure("b", "s", baseline="a")), [run])
    assert (figure.values, figure.ratios) == ((), ())
    assert figure.skipped.startswith("no redis-server")
    assert Figure.of_map(figure.as_map()) == figure


def test_latencies_become_percentiles_and_their_histograms_are_added_up() -> None:
    runs = []
    for first_ms in (1, 101):
        latencies = Latencies()
        for ms in range(first_ms, first_ms + 100):
            latencies.record(ms / 1000)
        runs.append(run_of({"cold": latencies}))
    p50, p99, p999 = figures_of("p", program(*latency_measures("cold")), runs)
    assert p50.values == (pytest.approx(50, rel=0.002), pytest.approx(150, rel=0.002))
    assert p99.values[0] == pytest.approx(99, rel=0.002)
    assert (p99.histogram, p999.histogram) == ("", "")
    together = Latencies.decoded(p50.histogram)
    assert together.count == 200
    assert together.percentile_ms(50) == pytest.approx(100, rel=0.002)


@given(st.lists(st.floats(0.001, 1e9), min_size=1, max_size=9))
def test_a_figure_survives_json(values: list[float]) -> None:
    figure = Figure("p", Measure("rate", "events/s", "less", "floor"), tuple(values), tuple(values), "x")
    assert Figure.of_map(figure.as_map()) == figure
    assert min(values) <= figure.median <= max(values)


def test_a_program_that_takes_long_is_run_less_often_and_at_least_once() -> None:
    long = Program((), lambda _: {}, warm_up="none", runs_share=0.3)
    assert [long.runs(asked) for asked in (1, 5, 10)] == [1, 2, 3]


def test_conditions_choose_how_much() -> None:
    assert Conditions().pick(100, 1) == 100
    assert Conditions(is_smoke=True).pick(100, 1) == 1

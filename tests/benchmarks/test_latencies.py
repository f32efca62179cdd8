from __future__ import annotations

import pytest

from benchmarks.suite.latencies import HIGHEST_US, Latencies


def test_a_stall_counts_for_those_that_it_kept_from_being_sent() -> None:
    """100 samples at 10 ms, then one of a second: 99 more would have waited 990, 980, … 10 ms."""
    corrected, naive = Latencies(), Latencies()
    for latencies, interval_s in ((corrected, 0.01), (naive, 0.0)):
        for _ in range(100):
            latencies.record(0.001, interval_s=interval_s)
        latencies.record(1.0, interval_s=interval_s)
    assert (corrected.count, naive.count) == (200, 101)
    assert naive.percentile_ms(99) == pytest.approx(1, rel=0.002)
    assert corrected.percentile_ms(75) == pytest.approx(500, rel=0.03)
    assert corrected.percentile_ms(99) == pytest.approx(980, rel=0.01)


def test_a_sample_within_the_interval_stays_alone() -> None:
    latencies = Latencies()
    latencies.record(0.009, interval_s=0.01)
    assert latencies.count == 1


def test_values_are_within_a_thousandth_and_those_out_of_range_are_kept_at_its_end() -> None:
    latencies = Latencies()
    for elapsed_s in (0.0, -1.0, 0.012345, 1e9):
        latencies.record(elapsed_s)
    assert latencies.count == 4
    assert latencies.percentile_ms(75) == pytest.approx(12.345, rel=0.001)
    assert latencies.percentile_ms(100) == pytest.approx(HIGHEST_US / 1000, rel=0.001)


def test_a_histogram_survives_its_text() -> None:
    latencies = Latencies()
    for ms in range(1, 1001):
        latencies.record(ms / 1000)
    again = Latencies.decoded(latencies.encoded())
    assert again.count == 1000
    assert [again.percentile_ms(p) for p in (50, 99)] == [latencies.percentile_ms(p) for p in (50, 99)]


def test_without_a_sample_there_is_no_percentile() -> None:
    with pytest.raises(ValueError, match="no latency"):
        Latencies().percentile_ms(50)

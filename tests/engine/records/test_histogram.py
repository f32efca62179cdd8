"""Histograms: how far off a percentile may be, and that adding up loses nothing."""

from __future__ import annotations

import math

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.records import histogram

values = st.lists(st.integers(min_value=0, max_value=histogram.VALUE_MAX), min_size=1, max_size=200)


def counted(numbers: list[int]) -> histogram.Histogram:
    buckets: histogram.Histogram = {}
    for number in numbers:
        histogram.merge(buckets, {histogram.bucket_of(number): 1})
    return buckets


@given(values, st.floats(min_value=0.1, max_value=100))
def test_a_percentile_is_at_most_a_sixteenth_off(numbers: list[int], percent: float) -> None:
    exact = sorted(numbers)[max(math.ceil(len(numbers) * percent / 100), 1) - 1]
    estimate = histogram.percentile(counted(numbers), percent)
    assert estimate is not None
    assert abs(estimate - exact) <= exact * histogram.ERROR_MAX


@given(values, values)
def test_adding_up_is_counting_together(some: list[int], others: list[int]) -> None:
    both = counted(some + others)
    assert (
        histogram.unpack(
            histogram.join_packed(histogram.pack(counted(some)), histogram.pack(counted(others)))
        )
        == both
    )
    assert sum(both.values()) == len(some) + len(others)


@given(st.integers(min_value=0, max_value=histogram.VALUE_MAX - 1))
def test_buckets_are_in_the_order_of_values_and_few(value: int) -> None:
    assert 0 <= histogram.bucket_of(value + 1) - histogram.bucket_of(value) <= 1
    assert histogram.bucket_of(value) < histogram.BUCKETS_MAX


def test_small_values_are_exact() -> None:
    assert [histogram.middle_of(histogram.bucket_of(value)) for value in range(16)] == list(range(16))


@pytest.mark.parametrize(("value", "counted_as"), [(-5, 0), (1 << 50, histogram.VALUE_MAX)])
def test_what_lies_outside_is_counted_at_the_edge(value: int, counted_as: int) -> None:
    assert histogram.bucket_of(value) == histogram.bucket_of(counted_as)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert histogram.percentile({}, 50) is None


def test_it_is_compact() -> None:
    assert len(histogram.pack(counted([2, 2, 3, 5, 8, 13, 21]))) < 20


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff",
        msgpack.packb([1]),
        msgpack.packb({"a": 1}),
        msgpack.packb([1, -1]),
        msgpack.packb([1, "x"]),
    ],
)
def test_what_is_no_histogram_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whichever of its parts is wrong
        histogram.unpack(damaged)

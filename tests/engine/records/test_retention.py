"""What is kept: whatever was written, every bound holds afterwards, and what went is the oldest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.records import retention, spans
from engine.records.attempts import Attempt
from engine.records.record import Count, Counts
from engine.records.retention import Bounds
from engine.records.store import AttemptFilter, Kept, Store

if TYPE_CHECKING:
    import pytest

NOW_MS = 1_800_000_000_000
DAY_MS = spans.DAY * 1000
written = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3]),
        st.integers(min_value=0, max_value=10 * DAY_MS),  # how long ago
        st.integers(min_value=0, max_value=400_000),  # bytes of detail
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None)  # each makes a file
@given(written, st.integers(min_value=1, max_value=9))
def test_every_bound_holds_and_the_oldest_went(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, int, int]], days: int
) -> None:
    bounds = Bounds(attempt_days=days, destination_mib=1, size_max_mib=16)
    store = Store(tmp_path_factory.mktemp("records") / "records.db", size_max_mib=16)
    try:
        told.sort(key=lambda row: -row[1])
        attempts = [
            Attempt(NOW_MS - ago_ms, destination, f"1.{at}", 1, 1, "timeout", bytes(size))
            for at, (destination, ago_ms, size) in enumerate(told)
        ]
        for attempt in attempts:
            store.write([], [attempt])
        gone = [destination for step in retention.steps(store, bounds, NOW_MS, []) for destination in step]
        assert not retention.is_over(store, bounds)
        for destination in (1, 2, 3):
            of_it = [attempt for attempt in attempts if attempt.destination_id == destination]
            ids = store.newest(AttemptFilter(destination, limit=100))
            kept = store.attempts(ids) if ids else []
            assert kept == of_it[len(of_it) - len(kept) :], "the newest are kept, without gaps"
            assert gone.count(destination) == len(of_it) - len(kept)
            assert all(attempt.at_ms >= NOW_MS - days * DAY_MS for attempt in kept)
            size = sum(attempt.bytes for attempt in kept)
            assert store.kept.get(destination, Kept(0, 0)) == Kept(len(kept), size)
            assert size <= bounds.destination_bytes
            if len(kept) < len(of_it):
                last_gone = of_it[-len(kept) - 1]
                is_too_old = last_gone.at_ms < NOW_MS - days * DAY_MS
                assert is_too_old or size + last_gone.bytes > bounds.destination_bytes, "no more than must go"
    finally:
        store.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=800 * spans.DAY), min_size=1, max_size=40))
def test_counters_are_kept_by_their_span(tmp_path_factory: pytest.TempPathFactory, ages_s: list[int]) -> None:
    now_s = NOW_MS // 1000
    store = Store(tmp_path_factory.mktemp("records") / "records.db", size_max_mib=16)
    try:
        for ago_s in ages_s:
            minute_s = spans.start_of(spans.MINUTE, now_s - ago_s)
            store.write([Counts(1, minute_s, {"delivered": Count(1, {0: 1})})], [])
        list(retention.steps(store, Bounds(), NOW_MS, []))
        assert store.counts(1, spans.EVER, 0) == [("delivered", len(ages_s))]
        for span_s, kept_s in (
            (spans.MINUTE, 48 * spans.HOUR),
            (spans.HOUR, 60 * spans.DAY),
            (spans.DAY, 730 * spans.DAY),
        ):
            for start_s in {spans.start_of(span_s, now_s - ago_s) for ago_s in ages_s}:
                assert bool(store.counts(1, span_s, start_s)) is (start_s >= now_s - kept_s)
    finally:
        store.close()

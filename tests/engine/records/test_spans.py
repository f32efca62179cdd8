"""Minutes, hours and days: what they add up to is what counting directly gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.records import histogram, spans
from engine.records.record import Count, Counts
from engine.records.store import Store

NOW_S = 1_800_000_000
reports = st.lists(
    st.tuples(
        st.integers(min_value=NOW_S - 40 * spans.DAY, max_value=NOW_S - 1),
        st.sampled_from(["delivered", "retry", "bad_request", spans.BUSY, spans.DEAD]),
        st.integers(min_value=1, max_value=100),
        st.integers(min_value=0, max_value=20_000),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=25, deadline=None)  # each makes a file
@given(reports)
def test_every_span_counts_what_was_reported_in_it(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, str, int, int]]
) -> None:
    store = Store(tmp_path_factory.mktemp("records") / "records.db", size_max_mib=16)
    try:
        for at_s, name, count, value in told:
            counts = {name: Count(count, {histogram.bucket_of(value): count})}
            store.write([Counts(7, spans.start_of(spans.MINUTE, at_s), counts)], [])
        for span_s in spans.SPANS:
            for start_s in {spans.start_of(span_s, at_s) for at_s, *_ in told}:
                direct: dict[str, int] = {}
                for at_s, name, count, _ in told:
                    if spans.start_of(span_s, at_s) == start_s:
                        direct[name] = direct.get(name, 0) + count
                assert dict(store.counts(7, span_s, start_s)) == direct
        month = store.windows(7, ["30d"], NOW_S)["30d"]
        latencies: histogram.Histogram = {}
        for at_s, name, count, value in told:
            if name == "delivered" and spans.start_of(spans.DAY, at_s) > NOW_S - 31 * spans.DAY:
                histogram.merge(latencies, {histogram.bucket_of(value): count})
        assert month.latency == latencies
    finally:
        store.close()


@pytest.mark.parametrize(
    ("start_s", "share"),
    [
        (600, 1.0),  # the minute that is running
        (540, 1.0),
        (360, 1.0),
        (300, 0.5),  # 330 to 360 are in the window of 300 s that ends at 630
        (240, 0.0),
    ],
)
def test_a_window_takes_of_its_first_minute_what_lies_in_it(start_s: int, share: float) -> None:
    assert spans.share_of(start_s, spans.MINUTE, 630, 300) == share


def test_a_minute_that_lies_ahead_because_the_clock_was_set_back_is_in_every_window() -> None:
    assert spans.share_of(660, spans.MINUTE, 630, 60) == 1.0


def test_failed_is_what_is_the_functions_fault() -> None:
    window = spans.Window(
        60, {"delivered": 5, "bad_request": 1, "timeout": 2, "message_rejected": 4, "dropped": 8}
    )
    assert (window.delivered, window.failed) == (5, 3)

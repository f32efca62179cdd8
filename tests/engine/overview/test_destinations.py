"""Destinations as they are measured: few labels whatever there is, and counters that never fall."""

from __future__ import annotations

from typing import Any

import pytest

from engine.dispatch.lane import Lane
from engine.metrics import DESTINATIONS_MAX, METRICS, OTHER, Buckets, Samples
from engine.model import Destination, FunctionVersion, Limits
from engine.overview.destinations import DELIVERY_BOUNDS_MS, Labels, Tally, add_latencies
from engine.records.histogram import bucket_of
from engine.records.record import Record

VERSION = FunctionVersion(1, 1, "", "function.py", (), b"", "", 0, "", None)


def lane(number: int, name: str = "") -> Lane:
    record = Record(number, became_dirty=lambda _: None, keep=lambda *_: None)
    return Lane(Destination(number, name or f"d{number}", "f", VERSION, (), Limits(), 0, 0), record)


def reported(tally: Tally) -> dict[str, list[dict[str, Any]]]:
    samples = Samples()
    tally.report(samples, "d")
    return samples.by_name


def test_what_was_counted_before_and_after_it_was_written_counts_once() -> None:
    counted = lane(1)
    counted.record.count("delivered", 3, 20)
    counted.record.take()
    counted.record.count("delivered", 2, 2_000)
    counted.record.count("bad_request", 1, 5)
    counted.record.count("http_2xx", 4)
    tally = Tally()
    tally.add(counted)
    samples = reported(tally)
    assert {one["labels"]["code"]: one["value"] for one in samples["outcomes_total"]} == {
        "bad_request": 1,
        "delivered": 5,
    }
    latency = samples["delivery_seconds"][0]
    assert dict(zip([*latency["bounds"], "more"], latency["counts"], strict=True)) == {
        **dict.fromkeys([bound / 1000 for bound in DELIVERY_BOUNDS_MS] + ["more"], 0),
        0.064: 3,
        4.096: 2,
    }
    assert latency["sum"] == pytest.approx(3 * 0.020 + 2 * 2.0, rel=1 / 16)
    assert samples["fetches_total"] == [{"labels": {"destination": "d", "result": "2xx"}, "value": 4}]


def test_what_is_kept_of_earlier_runs_is_not_counted() -> None:
    counted = lane(1)
    counted.record.totals["delivered"] = 1_000_000  # as after a start
    counted.record.count("delivered", 1)
    tally = Tally()
    tally.add(counted)
    assert tally.counts == {"delivered": 1}


@pytest.mark.parametrize("value_ms", [0, 3, 4, 15, 16, 63, 64, 65_535, 65_536, 1 << 39])
def test_a_latency_lies_below_its_bound_and_not_below_the_one_before(value_ms: int) -> None:
    buckets = Buckets([bound / 1000 for bound in DELIVERY_BOUNDS_MS])
    add_latencies(buckets, {bucket_of(value_ms): 1})
    at = buckets.counts.index(1)
    assert at == 0 or value_ms >= DELIVERY_BOUNDS_MS[at - 1]
    assert at == len(DELIVERY_BOUNDS_MS) or value_ms < DELIVERY_BOUNDS_MS[at]


def test_the_first_destinations_have_labels_and_all_others_share_one() -> None:
    labels = Labels()
    lanes = [lane(number) for number in range(DESTINATIONS_MAX + 50)]
    assert [labels.of(each) for each in lanes[:DESTINATIONS_MAX]] == [
        f"d{number}" for number in range(DESTINATIONS_MAX)
    ]
    assert {labels.of(each) for each in lanes[DESTINATIONS_MAX:]} == {OTHER}


def test_a_removed_one_makes_room_for_a_new_one_and_never_for_one_that_has_no_label() -> None:
    labels = Labels()
    lanes = [lane(number) for number in range(DESTINATIONS_MAX + 1)]
    given = [labels.of(each) for each in lanes]
    labels.forget(lanes[0])
    assert labels.of(lanes[-1]) == given[-1] == OTHER
    assert labels.of(lane(999)) == "d999"


def test_what_others_counted_stays_when_they_are_removed() -> None:
    labels = Labels()
    for number in range(DESTINATIONS_MAX):
        labels.of(lane(number))
    removed = lane(998)
    labels.of(removed)
    removed.record.count("delivered", 7, 10)
    removed.record.count("http_5xx", 2)
    labels.forget(removed)
    left = labels.others()
    assert left.counts["delivered"] == 7
    assert left.counts["http_5xx"] == 2
    assert sum(left.latency.counts) == 7


def test_a_destination_named_other_is_counted_with_the_others() -> None:
    labels = Labels()
    assert labels.of(lane(1, OTHER)) == OTHER


def test_a_sample_that_the_table_has_not_is_a_mistake() -> None:
    samples = Samples()
    with pytest.raises(KeyError):
        samples.add("nonsense", 1)
    with pytest.raises(ValueError, match="zip"):
        samples.add("uptime_seconds", 1, "a label too many")


def test_every_name_follows_the_conventions() -> None:
    for name, metric in METRICS.items():
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert metric.kind in {"counter", "gauge", "histogram"}
        assert len(metric.labels) <= 2

"""Whether a destination is well, and what is said of what is to come: pure."""

from __future__ import annotations

import pytest

from engine.dispatch import health
from engine.dispatch.health import Outlook
from engine.dispatch.states import LaneState
from engine.journal.contract import Retrying
from engine.model import Stop
from engine.records.spans import Window

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


def windows(**counts: float) -> dict[str, Window]:
    return {
        "1m": Window(60, dict(counts)),
        "5m": Window(300, dict(counts)),
        "1h": Window(3600, dict(counts), {20: 9, 100: 1}),
    }


def row(
    state: LaneState = LaneState.RUNNING, ahead: Outlook | None = None, **counts: float
) -> dict[str, object]:
    return health.row_of("a", state, windows(**counts), ahead or Outlook(), now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("state", "counts", "failing"),
    [
        (LaneState.RUNNING, {}, False),
        (LaneState.RUNNING, {"delivered": 100, "timeout": 99}, False),
        (LaneState.RUNNING, {"delivered": 100, "timeout": 50, "bad_request": 50}, True),
        (LaneState.RUNNING, {"retry": 1}, True),
        (LaneState.RUNNING, {"message_rejected": 100, "dropped": 100, "invalid_settings": 100}, False),
        (LaneState.PAUSED, {"delivered": 1}, False),
        (LaneState.OPEN, {"delivered": 100}, True),
        (LaneState.PROBING, {}, True),
        (LaneState.QUARANTINED, {}, True),
    ],
)
def test_failing_is_a_state_or_as_much_failed_as_delivered(
    state: LaneState, counts: dict[str, float], failing: bool
) -> None:
    assert row(state, **counts)["is_failing"] is failing


def test_rates_and_percentiles_are_of_their_windows() -> None:
    shown = row(delivered=600, retry=60, retried=60, dead=1)
    assert shown["delivered_per_s"] == {"1m": 10.0, "5m": 2.0, "1h": 0.167}
    assert shown["failed_per_s"] == {"1m": 1.0, "5m": 0.2, "1h": 0.017}
    assert (shown["delivered"], shown["failed"], shown["retried"], shown["dead"]) == (600, 60, 60, 1)
    assert (shown["p50_ms"], shown["p99_ms"]) == (24.5, 25599.5)


def test_what_goes_dead_is_told_when_it_is_failing_or_near() -> None:
    found = Retrying(7, NOW_MS - 2 * HOUR_MS, NOW_MS, is_all=True)
    ahead = health.outlook(found, LaneState.RUNNING, (), 4 * 3600, NOW_MS)
    assert ahead == Outlook(7, True, NOW_MS + 2 * HOUR_MS, NOW_MS + 4 * HOUR_MS)
    assert row(ahead=ahead, delivered=1)["warnings"] == []
    [warning] = row(ahead=ahead, retry=1)["warnings"]  # type: ignore[misc]
    assert warning.startswith(
        "7 deliveries are tried again; if they go on failing, the first is dead at 2027-01-15T10:00:00"
    )
    near = Outlook(7, False, NOW_MS + HOUR_MS - 1, NOW_MS + HOUR_MS)
    [warning] = row(ahead=near, delivered=1)["warnings"]  # type: ignore[misc]
    assert warning.startswith("more than 7 deliveries")


def test_time_that_a_person_stopped_it_is_not_counted_and_while_it_is_stopped_nothing_goes_dead() -> None:
    found = Retrying(1, NOW_MS - 5 * HOUR_MS, NOW_MS - 5 * HOUR_MS, is_all=True)
    stops = (Stop("paused", NOW_MS - 3 * HOUR_MS, NOW_MS - HOUR_MS),)
    ahead = health.outlook(found, LaneState.RUNNING, stops, 4 * 3600, NOW_MS)
    assert ahead.dead_from_ms == NOW_MS + HOUR_MS
    paused = health.outlook(found, LaneState.PAUSED, (*stops, Stop("paused", NOW_MS)), 4 * 3600, NOW_MS)
    assert paused == Outlook(1)
    assert row(LaneState.PAUSED, paused)["warnings"] == []


def test_particulars_that_were_not_kept_are_told() -> None:
    [warning] = row(delivered=9, attempts_dropped=5)["warnings"]  # type: ignore[misc]
    assert warning.startswith("5 failures of the last hour are counted only")

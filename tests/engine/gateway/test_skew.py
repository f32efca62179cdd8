"""When an event happened, by a clock that may be wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from engine.gateway.tracking import times

NOON = datetime(2026, 11, 24, 12)  # noqa: DTZ001  UTC, as all times in there


@pytest.mark.parametrize(
    ("sent_at", "timestamp", "corrected"),
    [
        # The client's clock is an hour slow; the event waited there for a minute.
        ("2026-11-24T11:00:00Z", "2026-11-24T10:59:00Z", "2026-11-24T11:59:00.000Z"),
        # It is a day fast, and elsewhere.
        ("2026-11-25T13:00:00+01:00", "2026-11-25T12:59:30.5+01:00", "2026-11-24T11:59:30.500Z"),
        # It doesn't say when it sent, or not so that it can be read.
        (None, "2026-11-24T10:59:00Z", "2026-11-24T10:59:00.000Z"),
        ("yesterday", "2026-11-24T10:59:00", "2026-11-24T10:59:00.000Z"),
        (1_700_000_000, "2026-11-24T10:59:00Z", "2026-11-24T10:59:00.000Z"),
        # There is no such time.
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", None),
        ("2026-11-24T11:00:00Z", "0001-01-01T00:00:00+14:00", None),
        ("2026-11-24T11:00:00Z", "soon", None),
        ("2026-11-24T11:00:00Z", None, None),
    ],
)
def test_a_time_is_corrected_by_what_the_client_says_of_sending(
    sent_at: Any, timestamp: Any, corrected: str | None
) -> None:
    assert times.corrected(timestamp, times.skew(NOON, sent_at)) == corrected


def test_a_time_is_written_in_milliseconds() -> None:
    assert times.as_text(times.received(1_700_000_000_123)) == "2023-11-14T22:13:20.123Z"

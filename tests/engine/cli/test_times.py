"""Times as users write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.times import parse
from engine.errors import UsageError

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("0s", 0),
        ("90s", 90_000),
        ("15m", 900_000),
        ("2h", 7_200_000),
        ("3d", 259_200_000),
        ("1w", 604_800_000),
    ],
)
def test_how_long_ago(text: str, ago_ms: int) -> None:
    assert parse(text, NOW_MS) == parse(f" {text} ago ", NOW_MS) == NOW_MS - ago_ms


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T18:30", datetime(2026, 11, 24, 18, 30, tzinfo=UTC)),
        ("2026-11-24 18:30:01", datetime(2026, 11, 24, 18, 30, 1, tzinfo=UTC)),
        ("2026-11-24T18:30:00Z", datetime(2026, 11, 24, 18, 30, tzinfo=UTC)),
        ("2026-11-24T18:30:00+01:00", datetime(2026, 11, 24, 17, 30, tzinfo=UTC)),
    ],
)
def test_iso_8601_is_utc_unless_it_says_otherwise(text: str, when: datetime) -> None:
    assert parse(text, NOW_MS) == when.timestamp() * 1000


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_what_the_engine_prints_can_be_typed_again(ms: int) -> None:
    printed = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    assert abs(parse(printed, NOW_MS) - ms) <= 1


@pytest.mark.parametrize(
    "text", ["", "m", "15", "-15m", "15 m", "1.5h", "15M", "yesterday", "2026-13-01", "٣d", "9999999999d"]
)
def test_anything_else_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no time\n.*give ISO 8601 .* 15m, 2h, 3d"):
        parse(text, NOW_MS)


@pytest.mark.parametrize("text", ["999999d", "1969-12-31", "0001-01-01"])
def test_a_time_before_1970_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="before 1970"):
        parse(text, NOW_MS)

"""`whenever`: dates, times and zones. Every zone is read beforehand, and kept: a worker has no files to read one from.

Its values can't be changed and its classes not be inherited from, so they are offered as they are. What reads or changes the
machine's own zone, the search path or the clock is left out.
"""

from __future__ import annotations

from typing import Final

import whenever

from sandbox.whitelist import Entry

_ZONES: Final = {
    name: whenever.PlainDateTime(2000, 1, 1).assume_tz(name) for name in whenever.available_timezones()
}
"""A value in each zone: the library forgets zones that nothing uses."""
_NAMES: Final = (
    "Instant ZonedDateTime OffsetDateTime PlainDateTime Date Time YearMonth MonthDay IsoWeekDate TimeDelta ItemizedDelta"
    " ItemizedDateDelta hours minutes seconds milliseconds microseconds nanoseconds Weekday MONDAY TUESDAY WEDNESDAY THURSDAY"
    " FRIDAY SATURDAY SUNDAY SkippedTime RepeatedTime InvalidOffsetError TimeZoneNotFoundError available_timezones"
)


def available_timezones() -> set[str]:
    """`whenever.available_timezones`."""
    return set(_ZONES)


def pin(now_ms: int) -> None:
    """In a function's own tests: it is this time, and stays it."""
    patch = whenever.patch_current_time(whenever.Instant.from_timestamp_millis(now_ms), keep_ticking=False)
    patch.__enter__()
    _PINNED.append(patch)


_PINNED: Final[list[object]] = []
"""Kept, since the clock goes on when it is collected."""

whenever.reset_tzpath([])

MODULES: Final = {
    "whenever": Entry(
        _NAMES,
        "dates, times and zones; the machine's own zone is left out",
        {
            **{name: getattr(whenever, name) for name in _NAMES.split()},
            "available_timezones": available_timezones,
        },
        is_ours=True,
    ),
}
"""What is visible of it."""

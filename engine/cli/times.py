"""Times as a user writes them: ISO 8601, or how long ago (`15m`, `2h`, `3d`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from engine.clock import SystemClock
from engine.errors import UsageError

UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AHEAD: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_AGO: Final = re.compile(r"([0-9]{1,9})([smhdw])(?: ago)?")


def parse(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch. A time without an offset is UTC, as all times are that the engine prints.

    Raises `UsageError` for what is no time, or before 1970.
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        ms = now_ms - int(ago[1]) * UNITS_MS[ago[2]]
    else:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(
                f"{text[:40]!r} is no time",
                remedy="give ISO 8601 (2026-11-24, 2026-11-24T18:30, 2026-11-24T18:30+01:00) or how long ago: 15m, 2h, 3d",
            ) from None
        ms = round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    if ms < 0:
        raise UsageError(f"{text[:40]!r} is before 1970", remedy="give a later time")
    return ms


def parse_to_come(text: str, now_ms: int) -> int | None:
    """The same for a time to come: ISO 8601, or in how long (`90d`); None for `never`."""
    text = text.strip()
    if text == "never":
        return None
    if ahead := _AHEAD.fullmatch(text):
        return now_ms + int(ahead[1]) * UNITS_MS[ahead[2]]
    return parse(text, now_ms)


def option_to_come(text: str) -> int | None:
    """An option's value: `type=times.option_to_come`."""
    return parse_to_come(text, SystemClock().now_ms())


def option(text: str) -> int:
    """An option's value: `@click.option("--since", "since_ms", type=times.option, metavar="TIME")`."""
    return parse(text, SystemClock().now_ms())

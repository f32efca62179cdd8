"""Pure: is a destination well? From its state and what was recorded of the last hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from engine.dispatch import retrying
from engine.dispatch.states import STOPPED_BY_HAND, LaneState
from engine.records import spans
from engine.records.histogram import percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.journal.contract import Retrying
    from engine.model import Stop
    from engine.records.spans import Window

WINDOWS: Final = ("1m", "5m", "1h")
LONG_WINDOWS: Final = ("1d", "30d")
"""Besides, of one destination."""
WARN_BEFORE_MS: Final = 3_600_000
"""Of deliveries that will be given up, if the destination isn't failing anyway."""
FAILING_STATES: Final = frozenset({LaneState.OPEN, LaneState.PROBING, LaneState.QUARANTINED})


def is_failing(state: LaneState, last_5m: Window) -> bool:
    """The breaker opened, or it is quarantined, or of what ended in 5 minutes at least as much failed as was delivered."""
    return state in FAILING_STATES or (last_5m.failed > 0 and last_5m.failed >= last_5m.delivered)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is being tried again, and when it is given up if it goes on failing (ms since the epoch).

    The times are None while nothing is, or while a person has stopped it and with it that time.
    """

    retrying: int = 0
    is_all: bool = True
    dead_from_ms: int | None = None
    dead_until_ms: int | None = None


def outlook(
    found: Retrying | None, state: LaneState, stops: Sequence[Stop], retry_for_s: int, now_ms: int
) -> Outlook:
    """From what the journal holds of it."""
    if found is None:
        return Outlook()
    if state in STOPPED_BY_HAND:
        return Outlook(found.deliveries, found.is_all)
    first_ms, last_ms = (
        now_ms + retry_for_s * 1000 - retrying.age_of(accepted_ms, now_ms, stops)
        for accepted_ms in (found.first_accepted_ms, found.last_accepted_ms)
    )
    return Outlook(found.deliveries, found.is_all, first_ms, last_ms)


def row_of(
    name: str, state: LaneState, windows: Mapping[str, Window], ahead: Outlook, *, now_ms: int
) -> dict[str, Any]:
    """What `engine health` shows of a destination: counts and percentiles of the last hour, and what is to come."""
    hour = windows["1h"]
    failing = is_failing(state, windows["5m"])
    return {
        "name": name,
        "state": str(state),
        "is_failing": failing,
        "retrying": ahead.retrying,
        "dead_from": _iso(ahead.dead_from_ms),
        "dead_until": _iso(ahead.dead_until_ms),
        **_figures(hour),
        "delivered_per_s": {
            each: round(windows[each].delivered / windows[each].seconds, 3) for each in WINDOWS
        },
        "failed_per_s": {each: round(windows[each].failed / windows[each].seconds, 3) for each in WINDOWS},
        "warnings": [*_warnings(state, hour), *_warning_of_death(ahead, now_ms, is_urgent=failing)],
    }


def window_of(window: Window) -> dict[str, Any]:
    """One window of `engine health NAME`."""
    codes = {name: round(count) for name, count in window.counts.items() if name not in spans.NOT_CODES}
    return {**_figures(window), "by_code": codes}


def _figures(window: Window) -> dict[str, Any]:
    busy_us = percentile(window.busy, 50)
    return {
        "delivered": round(window.delivered),
        "failed": round(window.failed),
        "retried": round(window.counts.get(spans.RETRIED, 0)),
        "dead": round(window.counts.get(spans.DEAD, 0)),
        **{f"p{percent}_ms": percentile(window.latency, percent) for percent in (50, 95, 99)},
        "busy_p50_us": busy_us,
        "responses": spans.responses(window.counts),
    }


def _warning_of_death(ahead: Outlook, now_ms: int, *, is_urgent: bool) -> list[str]:
    if ahead.dead_from_ms is None or not (is_urgent or ahead.dead_from_ms - now_ms < WARN_BEFORE_MS):
        return []
    more = "" if ahead.is_all else "more than "
    return [
        f"{more}{ahead.retrying} deliveries are tried again; if they go on failing, the first is dead at"
        f" {_iso(ahead.dead_from_ms)}, the last at {_iso(ahead.dead_until_ms)}"
    ]


def _iso(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _warnings(state: LaneState, hour: Window) -> list[str]:
    warnings = []
    if state is LaneState.QUARANTINED:
        warnings.append("a worker of it left the sandbox, or tried to: nothing runs, and its events wait")
    elif state in FAILING_STATES:
        warnings.append("all of its last invocations failed: only probes run, and its events wait")
    if dropped := round(hour.counts.get(spans.ATTEMPTS_DROPPED, 0)):
        warnings.append(
            f"{dropped} failures of the last hour are counted only: they came faster than they are written"
        )
    return warnings

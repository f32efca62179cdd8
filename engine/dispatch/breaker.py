"""Pure: the circuit breaker. What always fails is left alone, and let back slowly.

state      what happened                     next
running    100 failed in a row               open, the next probe after a backoff
running    anything else                     running, with more or less room while it opens slowly
open       (outcomes of what still ran)      open
open       the backoff is over               probing: one delivery
probing    it failed                         open, with a longer backoff
probing    it didn't                         running, with room for one

Unlike a pause it doesn't stop the four hours: what fails for so long is to be known as dead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from engine.dispatch.states import LaneState

if TYPE_CHECKING:
    import random

FAILURES_MAX: Final = 100
"""Invocations that failed in a row, of which `engine.model.OUTCOMES` says what failed means."""
PROBE_FIRST_MS: Final = 1_000
PROBE_CAP_MS: Final = 60_000
ROOM_MAX: Final = 1_024
"""With room for so many at once it is open again, as if nothing had been."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """What a destination's breaker knows."""

    failures: int = 0
    """In a row."""
    openings: int = 0
    """Since it last ran without bounds: the backoff doubles with each."""
    room: int = 0
    """Deliveries that workers may hold while it opens slowly; 0 is no bound."""


CLOSED: Final = Breaker()


def after(state: LaneState, breaker: Breaker, *, failed: int, succeeded: int) -> tuple[LaneState, Breaker]:
    """What outcomes that came together change, in any state; a success among them ends the row of failures."""
    if state is LaneState.PROBING and failed + succeeded:
        if succeeded:
            return LaneState.RUNNING, Breaker(openings=breaker.openings, room=1)
        return LaneState.OPEN, Breaker(openings=breaker.openings + 1)
    if state is not LaneState.RUNNING:
        return state, breaker
    if succeeded:
        room = breaker.room + succeeded if breaker.room else 0
        return state, CLOSED if room == 0 or room >= ROOM_MAX else replace(breaker, failures=0, room=room)
    failures = breaker.failures + failed
    if failures >= FAILURES_MAX:
        return LaneState.OPEN, Breaker(openings=breaker.openings + 1)
    room = max(1, breaker.room // 2) if breaker.room and failed else breaker.room
    return state, replace(breaker, failures=failures, room=room)


def probe_after_ms(breaker: Breaker, rng: random.Random) -> int:
    """How long to wait before the next probe: from a second to a minute, with jitter."""
    longest = min(PROBE_CAP_MS, PROBE_FIRST_MS * 2 ** min(breaker.openings - 1, 16))
    return rng.randint(longest // 2, longest)

"""The life of a destination's lane as a table: an absent pair is a mistake of ours, and raises.

running ⇄ paused              by hand
running ⇄ quarantined         its code attacked; a person lets it run again
running → open → probing → running, or open again      the circuit breaker
any → removed
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class LaneState(StrEnum):
    """Whether a destination's events are handed to workers."""

    RUNNING = "running"
    PAUSED = "paused"
    """A person stopped it; its events wait, and their four hours stand still."""
    OPEN = "open"
    """The circuit breaker stopped it; its events wait until the next probe."""
    PROBING = "probing"
    """The circuit breaker lets one delivery through, to see whether it works again."""
    QUARANTINED = "quarantined"
    """A worker of it left the sandbox, or tried to; nothing runs until a person resumes it."""
    REMOVED = "removed"


_S = LaneState
TRANSITIONS: Final[dict[LaneState, frozenset[LaneState]]] = {
    _S.RUNNING: frozenset({_S.PAUSED, _S.OPEN, _S.QUARANTINED, _S.REMOVED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.QUARANTINED, _S.REMOVED}),
    _S.OPEN: frozenset({_S.RUNNING, _S.PAUSED, _S.PROBING, _S.QUARANTINED, _S.REMOVED}),
    _S.PROBING: frozenset({_S.RUNNING, _S.PAUSED, _S.OPEN, _S.QUARANTINED, _S.REMOVED}),
    _S.QUARANTINED: frozenset({_S.RUNNING, _S.REMOVED}),
    _S.REMOVED: frozenset(),
}
"""From `open` and `probing` to `running`: a probe succeeded, or a person resumed it, or deployed it again."""

WORKING: Final = frozenset({_S.RUNNING, _S.PROBING})
"""States in which deliveries are handed to workers."""
STOPPED_BY_HAND: Final = frozenset({_S.PAUSED, _S.QUARANTINED})
"""States that survive a restart, end only by `resume`, and stop the clock of retries."""


def check_transition(before: LaneState, after: LaneState) -> None:
    """Raise `ValueError` unless the table has the pair."""
    if after not in TRANSITIONS[before]:
        raise ValueError(f"a destination can't go from {before} to {after}")

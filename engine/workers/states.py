"""The life of a worker as a table: an absent pair is a mistake of ours, and raises.

spare → loading → idle ⇄ busy
                   idle → suspended → loading
loading, idle, busy → draining → stopped
spare, idle, suspended → stopped
any → killed
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class WorkerState(StrEnum):
    """Where a worker is in its life."""

    SPARE = "spare"
    """Jailed and ready, bound to nobody."""
    LOADING = "loading"
    """Bound; compiling or loading the module. Invocations may already be queued behind the load."""
    IDLE = "idle"
    BUSY = "busy"
    SUSPENDED = "suspended"
    """Bound, but caches, globals and code are dropped and their memory returned."""
    DRAINING = "draining"
    """Finishes what it holds, takes nothing new, then stops."""
    STOPPED = "stopped"
    KILLED = "killed"


_S = WorkerState
TRANSITIONS: Final[dict[WorkerState, frozenset[WorkerState]]] = {
    _S.SPARE: frozenset({_S.LOADING, _S.STOPPED, _S.KILLED}),
    _S.LOADING: frozenset({_S.IDLE, _S.BUSY, _S.DRAINING, _S.STOPPED, _S.KILLED}),
    _S.IDLE: frozenset({_S.BUSY, _S.SUSPENDED, _S.DRAINING, _S.STOPPED, _S.KILLED}),
    _S.BUSY: frozenset({_S.IDLE, _S.DRAINING, _S.KILLED}),
    _S.SUSPENDED: frozenset({_S.LOADING, _S.STOPPED, _S.KILLED}),
    _S.DRAINING: frozenset({_S.STOPPED, _S.KILLED}),
    _S.STOPPED: frozenset({_S.KILLED}),
    _S.KILLED: frozenset(),
}
"""From `stopped` to `killed`: a worker that was asked to end and doesn't."""

LIVE: Final = frozenset({_S.LOADING, _S.IDLE, _S.BUSY, _S.SUSPENDED, _S.DRAINING})
"""States in which a bound worker takes up a slot."""


def check_transition(before: WorkerState, after: WorkerState) -> None:
    """Raise `ValueError` unless the table has the pair."""
    if after not in TRANSITIONS[before]:
        raise ValueError(f"a worker can't go from {before} to {after}")

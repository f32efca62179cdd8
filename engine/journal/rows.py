"""What a transaction writes, as rows ready to be bound: made where requests come in, executed by the writer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from sandbox.wire import CODE_INDEX, OUTCOME_CODES

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATE_BASE: Final = 256
WAITS: Final = 2
"""The bit of a state whose due time is to be waited for; without it the due time is a place in the order alone."""


TIME_MS_MAX: Final = 2**62
"""Times lie below it, so that no arithmetic on them leaves what a row can hold."""


def check_time(ms: int, what: str) -> None:
    """Raise `ValueError` for a time that no row can hold: it would fail everything that commits with it."""
    if not -TIME_MS_MAX < ms < TIME_MS_MAX:
        raise ValueError(f"{what} of {ms} ms")


def state_of(attempt: int, *, alone: bool, waits: bool) -> int:
    """Attempt (from 1) and two flags as one number of constant length; see `schema.sql`."""
    return _STATE_BASE + (attempt << 2) + WAITS * waits + alone


def attempt_of(state: int) -> tuple[int, bool]:
    """Attempt, and whether it runs alone."""
    return (state - _STATE_BASE) >> 2, bool(state & 1)


def number_of(code: str) -> int:
    """An outcome's code, or empty for none, as a number that always takes one byte in a record."""
    return 2 + CODE_INDEX[code or "delivered"]


def code_of(number: int) -> str:
    """What `number_of` was given. What was delivered is not stored, so that its number stands for none."""
    return OUTCOME_CODES[number - 2] if 2 < number < 2 + len(OUTCOME_CODES) else ""


class ChunkRow(NamedTuple):
    """A row of `chunk`, in the order of its columns."""

    id: int
    destination_id: int
    due_ms: int
    accepted_ms: int
    state: int
    code: int
    origin_id: int
    deliveries: int
    payload: bytes


class MovedRow(NamedTuple):
    """A whole chunk that gets a new due time and keeps its id."""

    due_ms: int
    state: int
    code: int
    id: int
    destination_id: int


class ShelfRow(NamedTuple):
    """A row of `shelf`, in the order of its columns, without its id."""

    destination_id: int
    kind: str
    code: str
    shelved_ms: int
    deliveries: int
    size_bytes: int
    accepted_ms: int
    state: int
    origin_id: int
    details: bytes
    payload: bytes


@dataclass(slots=True)
class Writes:
    """Rows of one request, or of several that commit together. Their order doesn't matter: no row depends on another."""

    fresh: list[ChunkRow] = field(default_factory=list)
    """New and leased at once by who appended them."""
    retried: list[ChunkRow] = field(default_factory=list)
    """New and leased by nobody."""
    moved: list[MovedRow] = field(default_factory=list)
    done: list[tuple[int, bytes]] = field(default_factory=list)
    """(chunk id, bitmap)."""
    ended: list[tuple[int, int]] = field(default_factory=list)
    """(chunk id, destination id) of chunks of which nothing remains."""
    shelved: list[ShelfRow] = field(default_factory=list)
    overflowed: list[ShelfRow] = field(default_factory=list)
    """Deliveries that were never in a chunk's row, though their `origin_id` is taken from the chunks' ids."""
    duplicates: list[tuple[int, int]] = field(default_factory=list)
    """(destination id, deliveries) of fresh chunks that were done from the start."""
    settled: list[tuple[int, int]] = field(default_factory=list)
    """(destination id, deliveries) that left their chunk."""

    size_bytes: int = 0
    """About what it adds to the file."""

    @classmethod
    def join(cls, parts: Iterable[Writes]) -> Writes:
        """All rows of all."""
        joined = cls()
        for part in parts:
            joined.fresh += part.fresh
            joined.retried += part.retried
            joined.moved += part.moved
            joined.done += part.done
            joined.ended += part.ended
            joined.shelved += part.shelved
            joined.overflowed += part.overflowed
            joined.duplicates += part.duplicates
            joined.settled += part.settled
            joined.size_bytes += part.size_bytes
        return joined

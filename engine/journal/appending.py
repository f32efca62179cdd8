"""Pure: chunks that were accepted → the rows to write. Everything is checked before anything changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.journal.codec import encode_chunk
from engine.journal.contract import SharedClaim
from engine.journal.rows import ChunkRow, Writes, check_time, number_of, state_of
from engine.journal.settling import shelf_row
from engine.model import Lease
from sandbox.wire import CHUNK_EVENTS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.journal.contract import Claim
    from engine.model import Chunk


def check(
    chunks: Sequence[Chunk], claims: Sequence[Claim | SharedClaim], overflowed: Sequence[Chunk]
) -> None:
    """Raise `ValueError` for what can't be stored."""
    for chunk in (*chunks, *overflowed):
        if not 0 < len(chunk) <= CHUNK_EVENTS_MAX:
            raise ValueError(f"a chunk of {len(chunk)} events for destination {chunk.destination_id}")
        check_time(chunk.accepted_ms, "a time of acceptance")
        check_time(chunk.due_ms, "a due time")
        if chunk.origin_id or chunk.places:
            raise ValueError("a chunk of deliveries that have a name already")
    for claim in claims:
        if isinstance(claim, SharedClaim):
            ids = range(len(claim.message_ids))
            fits = all(
                _is_within(chunks, place.chunk, place.start, place.start + len(place.events))
                and (not place.events or (place.events[0] in ids and place.events[-1] in ids))
                for place in claim.places
            )
        else:
            fits = _is_within(chunks, claim.chunk, claim.start, claim.stop)
        if not fits:
            raise ValueError(f"{claim} names events that aren't there")


def _is_within(chunks: Sequence[Chunk], place: int, start: int, stop: int) -> bool:
    return 0 <= place < len(chunks) and 0 <= start <= stop <= len(chunks[place])


def waits(chunk: Chunk) -> bool:
    """Its due time is to be waited for; else it is only a place in the order of acceptance."""
    return chunk.attempt > 1 or chunk.due_ms > chunk.accepted_ms


def write(
    chunks: Sequence[tuple[Chunk, bool]],
    overflowed: Sequence[Chunk],
    *,
    next_id: Callable[[], int],
    now_ms: int,
) -> tuple[Writes, list[Lease]]:
    """The rows, and a lease of each of `chunks`, which come with whether they wait for their due time."""
    writes, leases = Writes(), []
    for chunk, is_waiting in chunks:
        chunk_id = next_id()
        payload = encode_chunk(chunk.events, ())
        state = state_of(chunk.attempt, alone=chunk.alone, waits=is_waiting)
        code = number_of(chunk.code)
        row = ChunkRow(
            chunk_id,
            chunk.destination_id,
            chunk.due_ms,
            chunk.accepted_ms,
            state,
            code,
            0,
            len(chunk),
            payload,
        )
        writes.fresh.append(row)
        writes.size_bytes += len(payload)
        leases.append(Lease(chunk_id, chunk))
    for chunk in overflowed:
        stored = (len(chunk), b"", encode_chunk(chunk.events, ()))
        untried = replace(chunk, attempt=0)
        shelved = shelf_row(untried, "dead", "overflow", next_id(), stored, now_ms=now_ms)
        writes.overflowed.append(shelved)
        writes.size_bytes += shelved.size_bytes
    return writes, leases

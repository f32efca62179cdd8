"""Pure: what ended of some leases → the rows to write. Everything is checked before anything changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.journal.codec import encode_chunk, encode_details
from engine.journal.rows import ChunkRow, MovedRow, ShelfRow, Writes, check_time, number_of, state_of
from engine.model import PART_KINDS
from sandbox.wire import CHUNK_EVENTS_MAX, CODE_INDEX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.journal.codec import Places
    from engine.model import Chunk, Lease, Part
    from sandbox.wire import Events

_ALL: Final = tuple(tuple(range(count)) for count in range(CHUNK_EVENTS_MAX + 1))

Ended = tuple["Part", int]
"""A part and the bits of its deliveries."""


def check(
    settlements: Sequence[tuple[Lease, Sequence[Part]]], *, is_held: Callable[[Lease], bool]
) -> list[tuple[Lease, list[Ended]]]:
    """The parts with their bits, one entry a lease. Raises `ValueError` for what was settled or given back before."""
    checked: dict[int, tuple[Lease, list[Ended]]] = {}
    left: dict[int, int] = {}
    for lease, parts in settlements:
        if not is_held(lease):
            raise ValueError(f"chunk {lease.id} is not leased: it was settled, released or never taken")
        _, ended = checked.setdefault(lease.id, (lease, []))
        remaining = left.get(lease.id, lease.remaining)
        for part in parts:
            bits = bits_of(part.indices, len(lease.chunk))
            if part.kind not in PART_KINDS:
                raise ValueError(f"a part of chunk {lease.id} has the unknown kind {part.kind!r}")
            if part.kind == "retry":
                check_time(part.due_ms, "a due time")
                if part.code not in CODE_INDEX:
                    raise ValueError(f"a part of chunk {lease.id} has the unknown code {part.code!r}")
            if part.details and len(part.details) != len(part.indices):
                raise ValueError(f"a part of chunk {lease.id} has {len(part.details)} details")
            if bits & ~remaining:
                raise ValueError(f"a delivery of chunk {lease.id} was settled before")
            remaining &= ~bits
            if bits:
                ended.append((part, bits))
        left[lease.id] = remaining
    return list(checked.values())


def bits_of(indices: Sequence[int], count: int) -> int:
    """A bit an index. Raises `ValueError` for an index outside the chunk, or named twice."""
    if indices == _ALL[count]:
        return (1 << count) - 1
    bits = 0
    for index in indices:
        if not 0 <= index < count or bits >> index & 1:
            raise ValueError(f"index {index} is named twice or is not of a chunk of {count}")
        bits |= 1 << index
    return bits


def write(checked: Sequence[tuple[Lease, list[Ended]]], *, next_id: Callable[[], int], now_ms: int) -> Writes:
    """The rows of `checked`; clears the bits of the leases.

    A chunk of which everything retries with one due time moves: it keeps its row, its id and so its deliveries' names.
    """
    writes = Writes()
    cleared: list[tuple[Lease, int]] = []
    for lease, ended in checked:
        if not ended:
            continue
        chunk = lease.chunk
        everything = (1 << len(chunk)) - 1
        part, bits = ended[0]
        if part.kind == "retry" and bits == everything:
            state = state_of(part.attempt, alone=part.alone, waits=True)
            writes.moved.append(
                MovedRow(part.due_ms, state, number_of(part.code), lease.id, chunk.destination_id)
            )
            cleared.append((lease, 0))
            continue
        remaining = lease.remaining
        for part, bits in ended:
            remaining &= ~bits
            _write_part(writes, lease, part, next_id=next_id, now_ms=now_ms)
        writes.settled.append((chunk.destination_id, (lease.remaining ^ remaining).bit_count()))
        if remaining:
            bitmap = (everything ^ remaining).to_bytes((len(chunk) + 7) // 8, "little")
            writes.done.append((lease.id, bitmap))
        else:
            writes.ended.append((lease.id, chunk.destination_id))
        cleared.append((lease, remaining))
    for lease, remaining in cleared:
        lease.remaining = remaining
    return writes


def _write_part(writes: Writes, lease: Lease, part: Part, *, next_id: Callable[[], int], now_ms: int) -> None:
    chunk = lease.chunk
    if part.kind not in {"retry", "discarded", "dead"}:
        return
    payload = encode_chunk(*picked(chunk.events, chunk.places, part.indices))
    origin_id = chunk.origin_id or lease.id
    if part.kind == "retry":
        state = state_of(part.attempt, alone=part.alone, waits=True)
        again = ChunkRow(
            next_id(),
            chunk.destination_id,
            part.due_ms,
            chunk.accepted_ms,
            state,
            number_of(part.code),
            origin_id,
            len(part.indices),
            payload,
        )
        writes.retried.append(again)
        writes.size_bytes += len(payload)
    else:
        details = encode_details(part.details)
        shelved = shelf_row(
            chunk, part.kind, part.code, origin_id, (len(part.indices), details, payload), now_ms=now_ms
        )
        writes.shelved.append(shelved)
        writes.size_bytes += shelved.size_bytes


def shelf_row(
    chunk: Chunk, kind: str, code: str, origin_id: int, stored: tuple[int, bytes, bytes], *, now_ms: int
) -> ShelfRow:
    """Deliveries of `chunk` as an entry of the shelf; `stored` is their number, packed details and payload."""
    deliveries, details, payload = stored
    return ShelfRow(
        chunk.destination_id,
        kind,
        code,
        now_ms,
        deliveries,
        len(details) + len(payload),
        chunk.accepted_ms,
        state_of(chunk.attempt, alone=chunk.alone, waits=False),
        origin_id,
        details,
        payload,
    )


def picked(events: Events, places: Places, indices: Sequence[int]) -> tuple[Events, Places]:
    """Those events, each with its place at acceptance."""
    if indices == _ALL[len(events.sizes)]:
        return events, places or tuple(indices)
    return events.pick(indices), tuple(places[i] if places else i for i in indices)

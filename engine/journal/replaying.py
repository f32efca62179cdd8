"""Moving deliveries from the shelf back into the queue. Runs in the writer's thread, between its commits.

A whole entry moves as it is stored. Where a filter or the limit takes only some of its deliveries, it is cut in two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from engine.journal import shelf
from engine.journal.codec import DamagedPayload, decode_chunk, decode_details, encode_chunk, encode_details
from engine.journal.contract import ReplayStep
from engine.journal.rows import ChunkRow, attempt_of, number_of, state_of
from engine.journal.settling import picked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.journal.contract import Cursor, Filter
    from engine.journal.inventory import Inventory
    from engine.journal.looking import Query
    from engine.journal.store import Store

log = structlog.get_logger()

STEP_BYTES_MAX: Final = 4 << 20
"""What one transaction moves at most, or one entry."""
_FIRST: Final = (0, 0)


class Taken(NamedTuple):
    """Deliveries of one entry: all of it, if `indices` is None."""

    entry: shelf.Summary
    indices: Sequence[int] | None
    deliveries: int


def replay_some(
    store: Store,
    inventory: Inventory,
    asked: Query,
    *,
    is_dry: bool,
    now_ms: int,
    due_ms: int,
    next_id: Callable[[], int],
) -> ReplayStep:
    """One step, one transaction. Raises what `Store.commit` raises, and then nothing has changed."""
    taken, cursor = _take(store, asked, is_dry=is_dry)
    if taken and not is_dry:
        rows: list[ChunkRow] = []
        sizes: list[int] = []
        with store.transaction():
            for entry, indices, _ in taken:
                row, size = _move(store, entry, indices, chunk_id=next_id(), now_ms=now_ms, due_ms=due_ms)
                rows.append(row)
                sizes.append(size)
        for row, size, (entry, *_) in zip(rows, sizes, taken, strict=True):
            inventory.count_shelved(asked.destination_id, entry.kind, -row.deliveries, -size)
        inventory.count_unleased(rows)
    return ReplayStep(sum(count for *_, count in taken), cursor)


def _take(store: Store, asked: Query, *, is_dry: bool) -> tuple[list[Taken], Cursor | None]:
    from_id, from_index = asked.cursor or _FIRST
    scan = shelf.scan(
        store.db, asked.destination_id, asked.state, asked.where, from_id=from_id, is_newest_first=False
    )
    taken: list[Taken] = []
    left, size = asked.limit, 0
    for entry in scan.found:
        if not left or (taken and size + entry.size_bytes > STEP_BYTES_MAX):
            return taken, (entry.id, 0)
        start = from_index if entry.id == from_id else 0
        if asked.where.delivery is None and not start and entry.deliveries <= left:
            taken.append(Taken(entry, None, entry.deliveries))
        else:
            indices = _indices(store, entry, asked.where, start)
            chosen = indices[:left]
            if chosen:
                taken.append(Taken(entry, chosen, len(chosen)))
            if len(indices) > left:
                return taken, (entry.id, indices[left] if is_dry else 0)
        left -= taken[-1].deliveries if taken and taken[-1].entry is entry else 0
        size += entry.size_bytes
    return taken, None if scan.next_id is None else (scan.next_id, 0)


def _indices(store: Store, entry: shelf.Summary, where: Filter, start: int) -> list[int]:
    """The deliveries of an entry that match, from `start` on."""
    stored = shelf.read(store.db, entry.id)
    try:
        events, places = decode_chunk(stored.payload)
    except DamagedPayload as error:
        log.warning("journal_shelf_entry_damaged", entry_id=entry.id, reason=str(error))
        return []
    return [
        index
        for index in range(start, len(events.sizes))
        if where.delivery in {None, (stored.origin_id, places[index] if places else index)}
    ]


def _move(
    store: Store,
    entry: shelf.Summary,
    indices: Sequence[int] | None,
    *,
    chunk_id: int,
    now_ms: int,
    due_ms: int,
) -> tuple[ChunkRow, int]:
    """Write a chunk of them, and take them from the entry: the chunk without its payload, and the bytes that the shelf lost."""
    stored = shelf.read(store.db, entry.id)
    payload, lost = stored.payload, entry.size_bytes
    deliveries = stored.deliveries
    if indices is None or len(indices) == deliveries:
        shelf.delete(store.db, [entry.id])
    else:
        events, places = decode_chunk(stored.payload)
        details = decode_details(stored.details, deliveries)
        rest = [index for index in range(deliveries) if index not in set(indices)]
        kept = encode_chunk(*picked(events, places, rest))
        kept_details = encode_details([details[index] for index in rest])
        shelf.cut(store.db, entry.id, len(rest), kept_details, kept)
        payload = encode_chunk(*picked(events, places, indices))
        lost -= len(kept) + len(kept_details)
        deliveries = len(indices)
    _, alone = attempt_of(stored.state)
    row = ChunkRow(
        chunk_id,
        stored.destination_id,
        due_ms,
        now_ms,
        state_of(1, alone=alone, waits=False),
        number_of(""),
        stored.origin_id,
        deliveries,
        payload,
    )
    store.insert_chunk(row)
    return row._replace(payload=b""), lost

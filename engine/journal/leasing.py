"""Finding the oldest chunks that nobody holds. Runs in the writer's thread, between its commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from engine.journal.codec import DamagedPayload, decode_chunk
from engine.journal.rows import attempt_of, code_of
from engine.journal.store import TRANSIENT
from engine.model import Chunk, Lease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.journal.inventory import Inventory, Place, Stored
    from engine.journal.store import Store

log = structlog.get_logger()


def lease_chunks(
    store: Store,
    inventory: Inventory,
    destination_id: int,
    now_ms: int,
    *,
    chunks_max: int,
    bytes_max: int,
) -> list[Lease]:
    """Lease due chunks in their order; see `contract.Journal.lease`. What can't be decoded is moved aside."""
    stored = inventory.destinations.get(destination_id)
    if stored is None or not stored.has_unleased:
        return []
    leases: list[Lease] = []
    damaged: list[tuple[Place, str]] = []
    size = 0
    for due_ms, chunk_id, state in _unleased_due(store, inventory, destination_id, stored, now_ms):
        if len(leases) >= chunks_max:
            break
        head, payload = store.head(chunk_id), store.payload(chunk_id)
        assert head is not None
        if leases and size + len(payload) > bytes_max:
            break
        try:
            events, places = decode_chunk(payload)
        except DamagedPayload as error:
            damaged.append(((due_ms, chunk_id), str(error)))
            continue
        size += len(payload)
        attempt, alone = attempt_of(state)
        chunk = Chunk(
            destination_id,
            events,
            head.accepted_ms,
            due_ms,
            attempt,
            alone,
            head.origin_id,
            places,
            code_of(head.code),
        )
        done = store.done_bits(chunk_id) if chunk_id in inventory.partial else 0
        leases.append(Lease(chunk_id, chunk, ((1 << len(chunk)) - 1) & ~done))
        inventory.take(destination_id, chunk_id)
    for place, reason in damaged:
        _move_aside(store, inventory, destination_id, place, reason)
    return leases


def _unleased_due(
    store: Store, inventory: Inventory, destination_id: int, stored: Stored, now_ms: int
) -> Iterator[tuple[int, int, int]]:
    """(due_ms, chunk id, state) of what isn't leased. The caller leases what it takes, and so raises the floor."""
    for due_ms, chunk_id, state in store.due(destination_id, stored.floor, now_ms):
        if chunk_id not in inventory.leased:
            yield due_ms, chunk_id, state
            if chunk_id not in inventory.leased:
                continue
        stored.floor = max(stored.floor, (due_ms, chunk_id + 1))
    if inventory.fresh_due_ms > now_ms:
        # Wall time went back: what was accepted before is due, though its place in the order lies ahead of now.
        # A retry beyond now waits until then.
        place = max(stored.floor, (now_ms + 1, 0))
        for row in store.due(destination_id, place, inventory.fresh_due_ms, only_fresh=True):
            if row[1] not in inventory.leased:
                yield row


def first_due_ms(
    store: Store, inventory: Inventory, destination_id: int, stored: Stored, now_ms: int
) -> int | None:
    """The due time of the oldest chunk that isn't leased; at most `now_ms` if there is something to lease now."""
    if not stored.has_unleased:
        return None
    for due_ms, _, _ in _unleased_due(store, inventory, destination_id, stored, now_ms):
        return min(due_ms, now_ms)
    for due_ms, chunk_id, _ in store.due(destination_id, max(stored.floor, (now_ms + 1, 0)), 2**62):
        if chunk_id not in inventory.leased:
            return due_ms
    return None


def _move_aside(store: Store, inventory: Inventory, destination_id: int, place: Place, reason: str) -> None:
    _, chunk_id = place
    done = store.done_bits(chunk_id) if chunk_id in inventory.partial else 0
    try:
        deliveries = store.move_damaged(chunk_id, reason)
    except TRANSIENT as error:
        inventory.of(destination_id).lower_floor(place)
        log.warning("journal_chunk_damaged_not_moved", chunk_id=chunk_id, error=str(error))
        return
    inventory.of(destination_id).deliveries -= deliveries - done.bit_count()
    inventory.forget_chunk(destination_id, chunk_id)
    log.error(
        "journal_chunk_damaged",
        chunk_id=chunk_id,
        destination_id=destination_id,
        reason=reason,
        kept_in="table damaged of the journal's file",
    )

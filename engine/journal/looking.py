"""Looking at stored deliveries, a page at a time. Runs in the writer's thread, between its commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from engine.journal import shelf
from engine.journal.codec import DamagedPayload, decode_chunk, decode_details
from engine.journal.contract import Delivery, Filter, Page, Retrying
from engine.journal.rows import attempt_of, code_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.journal.contract import Cursor, DeliveryId
    from engine.journal.inventory import Inventory
    from engine.journal.store import Head, Store

log = structlog.get_logger()

PAGE_BYTES_MAX: Final = 4 << 20
RETRYING_CHUNKS_MAX: Final = 20_000


class Query(NamedTuple):
    """What is asked for; see `contract.Journal.deliveries` and `replay`."""

    destination_id: int
    state: str
    where: Filter
    limit: int
    cursor: Cursor | None


_NEWEST: Final = (2**63 - 1, 0)
_OLDEST: Final = (-(2**63), 0, 0)


def find(store: Store, inventory: Inventory, destination_id: int, delivery: DeliveryId) -> Delivery | None:
    """See `contract.Journal.find`."""
    own = store.head(delivery[0])
    for head in ([own] if own and not own.origin_id else []) + store.heads_of_origin(delivery[0]):
        if head.destination_id == destination_id:
            for _, found in _of_chunk(store, inventory, head, 0):
                if found.id == delivery:
                    return found
    query = Query(destination_id, "shelved", Filter(delivery=delivery), 1, None)
    return next(iter(_shelved(store, query).deliveries), None)


def page(store: Store, inventory: Inventory, query: Query) -> Page:
    """See `contract.Journal.deliveries`."""
    if query.state not in {"waiting", "running"}:
        return _shelved(store, query)
    where = query.where
    if where.delivery is None:
        return _queued(store, inventory, query)
    found = find(store, inventory, query.destination_id, where.delivery)
    is_it = found and found.state == query.state and _matches(found.accepted_ms, found.code, where)
    return Page((found,) if found and is_it else (), None)


def retrying(store: Store, destination_id: int) -> Retrying | None:
    """See `contract.Journal.retrying`."""
    chunks, deliveries, first_ms, last_ms = store.db.execute(
        "SELECT count(*), sum(count), min(accepted_ms), max(accepted_ms) FROM"
        " (SELECT count, accepted_ms FROM chunk INDEXED BY chunk_retried WHERE destination_id = ? AND state & 2"
        " ORDER BY accepted_ms LIMIT ?)",
        (destination_id, RETRYING_CHUNKS_MAX),
    ).get
    return Retrying(deliveries, first_ms, last_ms, chunks < RETRYING_CHUNKS_MAX) if chunks else None


# --- The shelf


def _shelved(store: Store, query: Query) -> Page:
    _, _, where, limit, cursor = query
    from_id, from_index = cursor or _NEWEST
    scan = shelf.scan(
        store.db, query.destination_id, query.state, where, from_id=from_id, is_newest_first=True
    )
    deliveries: list[Delivery] = []
    size = 0
    for summary in scan.found:
        if len(deliveries) == limit or size >= PAGE_BYTES_MAX:
            return Page(tuple(deliveries), (summary.id, 0))
        start = from_index if summary.id == from_id else 0
        for index, delivery in _of_entry(shelf.read(store.db, summary.id), start):
            if where.delivery not in {None, delivery.id}:
                continue
            if len(deliveries) == limit or size >= PAGE_BYTES_MAX:
                return Page(tuple(deliveries), (summary.id, index))
            deliveries.append(delivery)
            size += len(delivery.event.bodies) + len(delivery.detail)
    return Page(tuple(deliveries), None if scan.next_id is None else (scan.next_id, 0))


def _of_entry(entry: shelf.Entry, start: int) -> Iterator[tuple[int, Delivery]]:
    try:
        events, places = decode_chunk(entry.payload)
    except DamagedPayload as error:
        log.warning("journal_shelf_entry_damaged", entry_id=entry.id, reason=str(error))
        return
    details = decode_details(entry.details, entry.deliveries)
    attempt, _ = attempt_of(entry.state)
    for index in range(start, len(events.sizes)):
        yield (
            index,
            Delivery(
                (entry.origin_id, places[index] if places else index),
                entry.destination_id,
                entry.kind,
                entry.code,
                attempt,
                entry.accepted_ms,
                entry.shelved_ms,
                events.slice(index, index + 1),
                details[index],
            ),
        )


# --- Chunks


def _queued(store: Store, inventory: Inventory, query: Query) -> Page:
    destination_id, state, where, limit, cursor = query
    due_ms, from_id, from_index = cursor or _OLDEST
    ids: Iterable[tuple[int, int]]
    if state == "running":
        leased = sorted(chunk_id for chunk_id in inventory.leased if chunk_id >= from_id)
        ids = [(0, chunk_id) for chunk_id in leased]
    else:
        ids = ((due, chunk_id) for due, chunk_id, _ in store.due(destination_id, (due_ms, from_id), 2**62))
    deliveries: list[Delivery] = []
    size = 0
    for looked_at, (due, chunk_id) in enumerate(ids):
        if len(deliveries) == limit or size >= PAGE_BYTES_MAX or looked_at == shelf.SCAN_ROWS:
            return Page(tuple(deliveries), (due, chunk_id, 0))
        if (chunk_id in inventory.leased) is not (state == "running"):
            continue
        head = store.head(chunk_id)
        if not head or head.destination_id != destination_id:
            continue
        if not _matches(head.accepted_ms, code_of(head.code), where):
            continue
        start = from_index if chunk_id == from_id else 0
        for index, delivery in _of_chunk(store, inventory, head, start):
            if len(deliveries) == limit or size >= PAGE_BYTES_MAX:
                return Page(tuple(deliveries), (due, chunk_id, index))
            deliveries.append(delivery)
            size += len(delivery.event.bodies)
    return Page(tuple(deliveries), None)


def _matches(accepted_ms: int, code: str, where: Filter) -> bool:
    return (
        where.code in {None, code}
        and (where.since_ms is None or accepted_ms >= where.since_ms)
        and (where.until_ms is None or accepted_ms < where.until_ms)
    )


def _of_chunk(store: Store, inventory: Inventory, head: Head, start: int) -> Iterator[tuple[int, Delivery]]:
    try:
        events, places = decode_chunk(store.payload(head.id))
    except DamagedPayload:
        return  # the next lease moves it aside, and says so
    done = store.done_bits(head.id) if head.id in inventory.partial else 0
    attempt, _ = attempt_of(head.state)
    for index in range(start, len(events.sizes)):
        if not done >> index & 1:
            yield (
                index,
                Delivery(
                    (head.origin_id or head.id, places[index] if places else index),
                    head.destination_id,
                    "running" if head.id in inventory.leased else "waiting",
                    code_of(head.code),
                    attempt,
                    head.accepted_ms,
                    head.due_ms,
                    events.slice(index, index + 1),
                ),
            )

"""SQL of the shelf: looking through it by its index alone, reading and cutting entries, forgetting the oldest.

Every function looks at a bounded number of rows, so that whoever asks much delays nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import apsw

    from engine.journal.contract import Filter

SCAN_ROWS: Final = 2_000
"""Rows of the index that one call looks at: a few milliseconds."""
STEP_ROWS: Final = 200
"""Entries that housekeeping deletes in one transaction, beside twice as many as came."""


class Summary(NamedTuple):
    """An entry as its index has it."""

    id: int
    kind: str
    code: str
    shelved_ms: int
    deliveries: int
    size_bytes: int


class Entry(NamedTuple):
    """An entry with what is stored of its deliveries."""

    id: int
    destination_id: int
    kind: str
    code: str
    shelved_ms: int
    deliveries: int
    accepted_ms: int
    state: int
    origin_id: int
    details: bytes
    payload: bytes


class Scan(NamedTuple):
    """Entries that match, in the order that was asked for, and the id to go on from: None at the end."""

    found: list[Summary]
    next_id: int | None


def scan(
    db: apsw.Connection,
    destination_id: int,
    state: str,
    where: Filter,
    *,
    from_id: int,
    is_newest_first: bool,
) -> Scan:
    """Look from `from_id` on, downwards if the newest come first; `state` is dead, discarded or shelved."""
    if where.delivery is not None:
        named: list[Any] = db.execute(
            "SELECT id, kind, code, shelved_ms, count, bytes FROM shelf INDEXED BY shelf_origin"
            " WHERE origin_id = ? AND destination_id = ? ORDER BY id",
            (where.delivery[0], destination_id),
        ).fetchall()
        ahead = [row for row in named if (row[0] <= from_id if is_newest_first else row[0] >= from_id)]
        found = [Summary(*row) for row in (reversed(ahead) if is_newest_first else ahead)]
        return Scan([entry for entry in found if _matches(entry, state, where)], None)
    order = "id <= ? ORDER BY id DESC" if is_newest_first else "id >= ? ORDER BY id"
    rows: list[Any] = db.execute(
        "SELECT id, kind, code, shelved_ms, count, bytes FROM shelf INDEXED BY shelf_order"  # noqa: S608 - constants
        f" WHERE destination_id = ? AND {order} LIMIT {SCAN_ROWS}",
        (destination_id, from_id),
    ).fetchall()
    next_id = None
    if len(rows) == SCAN_ROWS:
        next_id = rows[-1][0] + (-1 if is_newest_first else 1)
    return Scan([entry for row in rows if _matches(entry := Summary(*row), state, where)], next_id)


def _matches(entry: Summary, state: str, where: Filter) -> bool:
    return (
        state in {entry.kind, "shelved"}
        and where.code in {None, entry.code}
        and (where.since_ms is None or entry.shelved_ms >= where.since_ms)
        and (where.until_ms is None or entry.shelved_ms < where.until_ms)
    )


def read(db: apsw.Connection, entry_id: int) -> Entry:
    """An entry that is there."""
    row: tuple[Any, ...] = db.execute(
        "SELECT id, destination_id, kind, code, shelved_ms, count, accepted_ms, state, origin_id, details, payload"
        " FROM shelf WHERE id = ?",
        (entry_id,),
    ).get
    return Entry(*row)


def cut(db: apsw.Connection, entry_id: int, deliveries: int, details: bytes, payload: bytes) -> None:
    """Leave only these in an entry."""
    db.execute(
        "UPDATE shelf SET count = ?, bytes = ?, details = ?, payload = ? WHERE id = ?",
        (deliveries, len(details) + len(payload), details, payload, entry_id),
    )


def delete(db: apsw.Connection, ids: list[int]) -> None:
    """Forget entries."""
    if ids:
        db.executemany("DELETE FROM shelf WHERE id = ?", [(entry_id,) for entry_id in ids])


class Pruned(NamedTuple):
    """An entry that is too old or too much."""

    destination_id: int
    kind: str
    deliveries: int
    size_bytes: int


def oldest(
    db: apsw.Connection, *, before_ms: int, bytes_over: int, rows_max: int
) -> tuple[list[int], list[Pruned]]:
    """The oldest entries that were shelved before `before_ms`, and more until `bytes_over` are gone; `rows_max` at most."""
    rows: list[Any] = db.execute(
        "SELECT id, shelved_ms, destination_id, kind, count, bytes FROM shelf ORDER BY id LIMIT ?",
        (rows_max,),
    ).fetchall()
    ids, pruned = [], []
    for entry_id, shelved_ms, *about in rows:
        if shelved_ms >= before_ms and bytes_over <= 0:
            break
        ids.append(entry_id)
        pruned.append(Pruned(*about))
        bytes_over -= pruned[-1].size_bytes
    return ids, pruned

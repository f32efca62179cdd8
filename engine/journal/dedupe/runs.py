"""SQL of what is stored of ids: the secret, the tail, and the buckets' runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.journal.dedupe.records import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

_BUCKET: Final = 1 << 32
"""A run's key is its bucket times this, plus a number that rises within the bucket."""


def secret(db: apsw.Connection) -> bytes:
    """Made with the file."""
    return bytes(db.execute("SELECT secret FROM dedupe_secret").get)


def tail(db: apsw.Connection) -> list[tuple[int, int, bytes]]:
    """(id, second, digests) of each transaction that no sweep has covered, in order."""
    rows: list[Any] = db.execute("SELECT id, at_s, digests FROM dedupe_tail ORDER BY id").fetchall()
    return rows


def add_tail(db: apsw.Connection, row_id: int, at_s: int, digests: bytes) -> None:
    """Within the transaction that appends the events."""
    db.execute("INSERT INTO dedupe_tail VALUES (?, ?, ?)", (row_id, at_s, digests))


def drop_tail(db: apsw.Connection, last_id: int) -> None:
    """Up to `last_id`: a sweep has written what they hold."""
    db.execute("DELETE FROM dedupe_tail WHERE id <= ?", (last_id,))


def take_filter(db: apsw.Connection) -> bytes:
    """What `put_filter` left, once; empty if nothing was left. From then on the file says more than it."""
    words = b"".join(row[0] for row in db.execute("SELECT words FROM dedupe_filter"))
    if words:
        db.execute("DELETE FROM dedupe_filter")
    return words


def put_filter(db: apsw.Connection, words: bytes) -> None:
    """At an orderly end."""
    db.execute("INSERT INTO dedupe_filter VALUES (?)", (words,))


def is_empty(db: apsw.Connection) -> bool:
    """There are no runs."""
    return db.execute("SELECT 1 FROM dedupe_run LIMIT 1").fetchone() is None


def of(db: apsw.Connection, bucket: int) -> list[Run]:
    """A bucket's runs, the oldest first."""
    rows = db.execute(
        "SELECT key, newest_s, length(records) FROM dedupe_run WHERE key >= ? AND key < ? ORDER BY key",
        (bucket * _BUCKET, (bucket + 1) * _BUCKET),
    )
    return [Run(*row) for row in rows]


def records(db: apsw.Connection, bucket: int) -> list[bytes]:
    """Of each of a bucket's runs, the oldest first."""
    rows: list[Any] = db.execute(
        "SELECT records FROM dedupe_run WHERE key >= ? AND key < ? ORDER BY key",
        (bucket * _BUCKET, (bucket + 1) * _BUCKET),
    ).fetchall()
    return [stored for (stored,) in rows]


def read(db: apsw.Connection, runs: Sequence[Run]) -> bytes:
    """Their records, one after the other."""
    return b"".join(
        db.execute("SELECT records FROM dedupe_run WHERE key = ?", (run.key,)).get for run in runs
    )


def write(db: apsw.Connection, bucket: int, after: Sequence[Run], newest_s: int, stored: bytes) -> None:
    """A run that is newer than `after`."""
    key = after[-1].key + 1 if after else bucket * _BUCKET
    db.execute("INSERT INTO dedupe_run VALUES (?, ?, ?)", (key, newest_s, stored))


def drop(db: apsw.Connection, runs: Sequence[Run]) -> None:
    """Delete them."""
    if runs:
        db.executemany("DELETE FROM dedupe_run WHERE key = ?", [(run.key,) for run in runs])

"""The file of records: opening it, and every SQL statement. Used by the writer's thread alone.

Nothing here is worth refusing a start, or stopping deliveries: a file that can't be used (damaged, of another program, or
of a newer engine) is set aside as `PATH-aside`, in the place of an earlier one, and a new one is begun.

Others may read the file while the daemon runs (`sqlite3 records.db`). The WAL is synced only when it is folded into the
file: a power cut loses the last seconds.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw
import structlog

from engine.records import histogram, spans
from engine.records.attempts import OVERHEAD_BYTES, Attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.records.record import Counts
    from engine.records.spans import Window

log = structlog.get_logger()

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x656E6772
"""`engr`: marks the file as records of ours."""
PAGE_BYTES: Final = 4096
WAL_BYTES: Final = 4 << 20
STEP_ROWS: Final = 500
"""Rows that housekeeping deletes in one transaction."""
UNUSABLE: Final = (apsw.NotADBError, apsw.CorruptError, apsw.FormatError)

_COLUMNS: Final = ", ".join(Attempt._fields)
_ADD: Final = (
    "INSERT INTO counter VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count,"
    " histogram = join_histograms(histogram, excluded.histogram)"
)
_KEEP: Final = f"INSERT INTO attempt ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants


class AttemptFilter(NamedTuple):
    """Which attempts of a destination are wanted: the newest `limit` of those that match."""

    destination_id: int
    since_ms: int = 0
    code: str | None = None
    limit: int = 100


class Kept(NamedTuple):
    """Attempts that are kept: how many, and the bytes they count for."""

    attempts: int
    bytes: int


class Store:
    """Owner of the file."""

    def __init__(self, path: Path, *, size_max_mib: int) -> None:
        """Open, or begin anew. Raises `apsw.Error` or `OSError` if that can't be done now; it may be tried again."""
        self.path = path
        self._pages_max = (size_max_mib << 20) // PAGE_BYTES
        self.kept: dict[int, Kept] = {}
        """Of each destination that any attempt is kept of."""
        try:
            self._db = self._open()
        except UNUSABLE as error:
            set_aside(path, str(error))
            self._db = self._open()

    def _open(self) -> apsw.Connection:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.set_busy_timeout(200)
            db.create_scalar_function("join_histograms", _join_histograms, 2, deterministic=True)
            if db.execute("SELECT count(*) FROM sqlite_schema").get:
                version, application = db.pragma("user_version"), db.pragma("application_id")
                if (version, application) != (SCHEMA_VERSION, APPLICATION_ID):
                    raise apsw.FormatError(f"it has version {version} of application {application:#x}")  # noqa: TRY301  as SQLite would
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES // PAGE_BYTES}")
            db.execute(f"PRAGMA journal_size_limit = {4 * WAL_BYTES}")
            db.execute(f"PRAGMA max_page_count = {self._pages_max}")
            if not db.pragma("user_version"):
                schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
                db.execute(
                    f"BEGIN; {schema}; PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
                )
            self.kept = {
                destination_id: Kept(count, size + count * OVERHEAD_BYTES)
                for destination_id, count, size in db.execute(
                    "SELECT destination_id, count(*), sum(length(detail)) FROM attempt INDEXED BY attempt_newest"
                    " GROUP BY destination_id"
                )
            }
        except BaseException:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Fold the WAL into the file and close it."""
        with contextlib.suppress(apsw.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    # --- Writing

    def write(self, counts: Iterable[Counts], attempts: Sequence[Attempt]) -> None:
        """One transaction. Raises `apsw.Error`, and then nothing is written."""
        rows = []
        for destination_id, minute_s, by_name in counts:
            for name, each in by_name.items():
                value = name, each.count, histogram.pack(each.histogram)
                rows += [
                    (destination_id, span_s, spans.start_of(span_s, minute_s), *value)
                    for span_s in spans.SPANS
                ]
        with self._db:
            self._db.executemany(_ADD, rows)
            self._db.executemany(_KEEP, attempts)
        for attempt in attempts:
            self._count_kept(attempt.destination_id, 1, attempt.bytes)

    # --- Housekeeping

    @property
    def used_bytes(self) -> int:
        """Of the file's pages, those that hold something."""
        return int(self._db.pragma("page_count") - self._db.pragma("freelist_count")) * PAGE_BYTES

    def delete_before(self, span_s: int, before_s: int) -> None:
        """Delete what was counted in spans that began earlier."""
        with self._db:
            self._db.executemany(
                "DELETE FROM counter WHERE destination_id = ? AND span_s = ? AND start_s < ?",
                [(destination_id, span_s, before_s) for destination_id in self.destination_ids()],
            )

    def delete_counters(self, destination_id: int) -> None:
        """Delete all that was counted of a destination whose attempts are gone."""
        self.kept.pop(destination_id, None)
        self._db.execute("DELETE FROM counter WHERE destination_id = ?", (destination_id,))

    def delete_oldest_hour(self) -> bool:
        """Delete the minutes of the oldest hour; whether there was one."""
        oldest = self._db.execute("SELECT min(start_s) FROM counter WHERE span_s = ?", (spans.MINUTE,)).get
        if oldest is not None:
            self.delete_before(spans.MINUTE, oldest + spans.HOUR)
        return oldest is not None

    def delete_oldest(
        self, destination_id: int | None = None, *, before_ms: int | None = None, bytes_over: int = 1 << 62
    ) -> list[int]:
        """Delete some of the oldest attempts, of one destination or of all.

        Those that ended before `before_ms`, until `bytes_over` are gone. Returns the destination id of each.
        """
        is_one = destination_id is not None
        found: list[tuple[int, int, int, int]] = self._all(
            "SELECT id, at_ms, destination_id, length(detail) FROM attempt"  # noqa: S608 - constants
            f" {'WHERE destination_id = ?' if is_one else ''} ORDER BY id LIMIT {STEP_ROWS}",
            *([destination_id] if is_one else []),
        )
        gone: list[tuple[int, int]] = []
        for _, at_ms, owner, size in found:
            if bytes_over <= 0 or (before_ms is not None and at_ms >= before_ms):
                break
            gone.append((owner, size + OVERHEAD_BYTES))
            bytes_over -= size + OVERHEAD_BYTES
        if gone:
            with self._db:
                self._db.executemany(
                    "DELETE FROM attempt WHERE id = ?", [row[:1] for row in found[: len(gone)]]
                )
        for owner, size in gone:
            self._count_kept(owner, -1, -size)
        return [owner for owner, _ in gone]

    # --- Reading

    def totals(self) -> dict[int, dict[str, int]]:
        """Destination id → counter → count since it was made."""
        return {
            destination_id: dict(self.counts(destination_id, spans.EVER, 0))
            for destination_id in self.destination_ids()
        }

    def destination_ids(self) -> list[int]:
        """Those that anything was counted of. Skips from one to the next, whatever is kept of each."""
        return [
            row[0]
            for row in self._all(
                "WITH RECURSIVE known(id) AS (SELECT min(destination_id) FROM counter UNION ALL"
                " SELECT (SELECT min(destination_id) FROM counter WHERE destination_id > id) FROM known"
                " WHERE id IS NOT NULL) SELECT id FROM known WHERE id IS NOT NULL"
            )
        ]

    def counts(self, destination_id: int, span_s: int, start_s: int) -> list[tuple[str, int]]:
        """(counter, count) of one span."""
        return self._all(
            "SELECT name, count FROM counter WHERE destination_id = ? AND span_s = ? AND start_s = ?",
            destination_id,
            span_s,
            start_s,
        )

    def windows(self, destination_id: int, names: Sequence[str], now_s: float) -> dict[str, Window]:
        """Those of `spans.WINDOWS` that are named, up to now."""
        rows: dict[int, list[tuple[int, str, int, bytes]]] = {}
        for span_s in {spans.WINDOWS[name][0] for name in names}:
            longest_s = max(
                seconds for span, seconds in map(spans.WINDOWS.__getitem__, names) if span == span_s
            )
            rows[span_s] = self._all(
                "SELECT start_s, name, count, histogram FROM counter"
                " WHERE destination_id = ? AND span_s = ? AND start_s > ?",
                destination_id,
                span_s,
                int(now_s) - longest_s - span_s,
            )
        return {name: spans.add_up(rows[spans.WINDOWS[name][0]], name, now_s) for name in names}

    def newest(self, wanted: AttemptFilter) -> list[int]:
        """Ids of the newest attempts that match, oldest first."""
        rows = self._all(
            "SELECT id FROM attempt INDEXED BY attempt_newest WHERE destination_id = ? AND at_ms >= ?"
            " AND (?3 IS NULL OR code = ?3) ORDER BY id DESC LIMIT ?4",
            wanted.destination_id,
            wanted.since_ms,
            wanted.code,
            wanted.limit,
        )
        return [row[0] for row in reversed(rows)]

    def attempts(self, ids: Sequence[int]) -> list[Attempt]:
        """Those of these ids that are still kept, in the order of ids."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM attempt WHERE id IN ({','.join('?' * len(ids))}) ORDER BY id",  # noqa: S608 - constants
            *ids,
        )
        return [Attempt(*row) for row in rows]

    def attempts_of(self, destination_id: int, delivery: str) -> list[Attempt]:
        """Every attempt that is kept of one delivery, oldest first."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM attempt WHERE delivery = ? AND destination_id = ? ORDER BY id",  # noqa: S608 - constants
            delivery,
            destination_id,
        )
        return [Attempt(*row) for row in rows]

    def stats(self) -> dict[str, int]:
        """`file_bytes`: the file and its WAL; `attempts` that are kept."""
        file_bytes = 0
        for name in (self.path, f"{self.path}-wal"):
            with contextlib.suppress(OSError):
                file_bytes += os.stat(name).st_size  # noqa: PTH116 - one of the two is no Path
        return {"file_bytes": file_bytes, "attempts": sum(each.attempts for each in self.kept.values())}

    def _count_kept(self, destination_id: int, attempts: int, size: int) -> None:
        kept = self.kept.get(destination_id, Kept(0, 0))
        self.kept[destination_id] = Kept(kept.attempts + attempts, kept.bytes + size)

    def _all(self, sql: str, *bindings: Any) -> list[Any]:
        return self._db.execute(sql, bindings).fetchall()


def _join_histograms(*packed: Any) -> bytes:
    return histogram.join_packed(*packed)


def set_aside(path: Path, reason: str) -> None:
    """Move a file that can't be used out of the way, with its WAL; an earlier one that was set aside is replaced."""
    log.error("records_set_aside", path=str(path), moved_to=f"{path}-aside", reason=reason)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{path}-aside{suffix}")  # noqa: PTH105 - names, not paths
    os.replace(path, f"{path}-aside")  # noqa: PTH105 - as above

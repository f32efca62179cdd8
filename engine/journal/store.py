"""The journal's file: opening it, and every SQL statement. Used by one thread at a time.

The connection holds the file exclusively (the daemon is the file's only user), which spares the shared-memory
index of the WAL and its locks. Statements are built for many rows at once, because each one executed hands the
interpreter's lock over and has to win it back from a busy event loop.

The page is 4 KiB and the WAL is folded into the file at about 4 MiB. Larger pages (8 to 64 KiB) and a larger WAL
(16, 64 MiB) wrote at most 5 % more in chunks of 100 events and up to a third less in chunks of one; and a short
WAL is what lets the reserve free enough room on a full disk.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from engine.errors import ConfigurationError, Unavailable
from engine.journal import shelf
from engine.journal.inventory import Inventory
from engine.journal.rows import WAITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.journal.rows import ChunkRow, Writes

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x656E676A
"""`engj`: marks the file as a journal of ours."""
PAGE_BYTES: Final = 4096
WAL_BYTES: Final = 4 << 20
CACHE_KIB: Final = 16 << 10
STEP_ROWS: Final = 200
"""Rows that housekeeping deletes in one transaction, so that it delays nobody."""

TRANSIENT: Final = (apsw.FullError, apsw.IOError, apsw.BusyError, apsw.LockedError, apsw.NoMemError)
"""What may succeed when it is tried again after somebody mended the machine."""
BROKEN: Final = (apsw.CorruptError, apsw.NotADBError)
"""The file isn't what was written: no try mends that."""

_ROW_SIZES: Final = (64, 16, 4, 1)
_INSERT_CHUNK: Final = {
    n: f"INSERT INTO chunk VALUES {','.join(['(?,?,?,?,?,?,?,?,?)'] * n)}"  # noqa: S608 - constants
    for n in _ROW_SIZES
}
_SHELF_COLUMNS: Final = (
    "destination_id,kind,code,shelved_ms,count,bytes,accepted_ms,state,origin_id,details,payload"
)
_INSERT_SHELF: Final = {
    n: f"INSERT INTO shelf ({_SHELF_COLUMNS}) VALUES {','.join(['(?,?,?,?,?,?,?,?,?,?,?)'] * n)}"  # noqa: S608 - constants
    for n in _ROW_SIZES
}
_DELETE_CHUNK: Final = {n: f"DELETE FROM chunk WHERE id IN ({','.join('?' * n)})" for n in _ROW_SIZES}  # noqa: S608 - constants
_DELETE_DONE: Final = {n: f"DELETE FROM done WHERE chunk_id IN ({','.join('?' * n)})" for n in _ROW_SIZES}  # noqa: S608 - constants


_HEAD: Final = "id,destination_id,due_ms,accepted_ms,state,code,origin_id,count"


class Head(NamedTuple):
    """A row of `chunk` without its payload."""

    id: int
    destination_id: int
    due_ms: int
    accepted_ms: int
    state: int
    code: int
    origin_id: int
    deliveries: int


class Store:
    """Owner of the file and of its reserve."""

    def __init__(self, path: Path, *, size_max_mib: int | None = None, reserve_bytes: int = 8 << 20) -> None:
        """Open or create; the file's mode is 0600. Raises `ConfigurationError` or `Unavailable`."""
        self.path = path
        self._reserve_path = path.with_name(f"{path.name}-reserve")
        self._reserve_bytes = reserve_bytes
        self._pages_max = size_max_mib * (1 << 20) // PAGE_BYTES if size_max_mib else 0
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise ConfigurationError(
                f"the journal {path} can't be opened: {error.strerror}",
                remedy="choose a data directory that this user may write to",
            ) from None
        self.db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            self._prepare()
        except BaseException:
            self.db.close()
            raise

    def _prepare(self) -> None:
        try:
            self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._check_version()
            self.db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES // PAGE_BYTES}")
            self.db.execute(f"PRAGMA journal_size_limit = {4 * WAL_BYTES}")
            self.db.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
            if self._value("PRAGMA user_version") == 0:
                schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
                self.db.execute(
                    f"BEGIN; {schema}; PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
                )
        except apsw.BusyError:
            raise Unavailable(
                f"the journal {self.path} is in use by another process",
                remedy="stop the other daemon, or give this one its own data directory",
            ) from None
        except apsw.NotADBError:
            raise _not_a_journal(self.path) from None
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        if self._pages_max:
            self.db.execute(f"PRAGMA max_page_count = {self._pages_max}")

    def _check_version(self) -> None:
        version = self._value("PRAGMA user_version")
        application = self._value("PRAGMA application_id")
        is_empty = not self._value("SELECT count(*) FROM sqlite_schema")
        if not is_empty and application != APPLICATION_ID:
            raise _not_a_journal(self.path)
        if version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"the journal {self.path} has version {version}, and this engine knows up to {SCHEMA_VERSION}:"
                " a newer engine wrote it",
                remedy="start the newer engine again, or give this one another data directory",
            )

    def _value(self, sql: str) -> Any:
        return self.db.execute(sql).get

    def close(self) -> None:
        """Fold the WAL into the file and close it."""
        with contextlib.suppress(*TRANSIENT, *BROKEN):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()

    # --- What a start reads

    def count(self) -> Inventory:
        """Everything that is stored, counted from indexes alone."""
        inventory = Inventory()
        for destination_id, chunks, deliveries, fresh_due_ms in self.db.execute(
            "SELECT destination_id, count(*), sum(count), max(iif(state & ?, 0, due_ms))"
            " FROM chunk INDEXED BY chunk_due GROUP BY destination_id",
            (WAITS,),
        ):
            stored = inventory.of(destination_id)
            stored.chunks, stored.deliveries = chunks, deliveries
            inventory.fresh_due_ms = max(inventory.fresh_due_ms, fresh_due_ms)
        for chunk_id, destination_id, bitmap in self.db.execute(
            "SELECT chunk_id, destination_id, bitmap FROM done JOIN chunk ON chunk.id = chunk_id"
        ):
            inventory.partial.add(chunk_id)
            inventory.of(destination_id).deliveries -= int.from_bytes(bitmap, "little").bit_count()
        for destination_id, dead, discarded, size in self.db.execute(
            "SELECT destination_id, sum(iif(kind = 'dead', count, 0)), sum(iif(kind = 'dead', 0, count)), sum(bytes)"
            " FROM shelf INDEXED BY shelf_order GROUP BY destination_id"
        ):
            inventory.count_shelved(destination_id, "dead", dead, size)
            inventory.count_shelved(destination_id, "discarded", discarded, 0)
        return inventory

    def last_chunk_id(self) -> int:
        """The greatest id that was ever committed."""
        return int(self._value("SELECT max(seq) FROM sqlite_sequence WHERE name = 'chunk'") or 0)

    # --- Transactions

    def commit(self, writes: Writes, partial: set[int], *, also: Callable[[], None]) -> None:
        """One transaction. Raises one of `TRANSIENT`, or another `apsw.Error`, and then nothing is written.

        `partial` names the chunks that have a row in `done`; `also` writes more within it. What frees pages comes first, so that a full
        file takes the rest.
        """
        with self.transaction():
            if writes.ended:
                ended = [(chunk_id,) for chunk_id, _ in writes.ended]
                self._in_groups(_DELETE_CHUNK, ended)
                self._in_groups(_DELETE_DONE, [row for row in ended if row[0] in partial])
            if writes.done:
                gone = {chunk_id for chunk_id, _ in writes.ended}
                if rows := [row for row in writes.done if row[0] not in gone]:
                    self.db.executemany("INSERT OR REPLACE INTO done VALUES (?, ?)", rows)
            if writes.moved:
                self.db.executemany(
                    "UPDATE chunk SET due_ms = ?, state = ?, code = ? WHERE id = ?",
                    [row[:4] for row in writes.moved],
                )
            self._in_groups(_INSERT_CHUNK, writes.fresh)
            self._in_groups(_INSERT_CHUNK, writes.retried)
            self._in_groups(_INSERT_SHELF, writes.shelved)
            if writes.overflowed:
                self._in_groups(_INSERT_SHELF, writes.overflowed)
                self._use_id(max(row.origin_id for row in writes.overflowed))
            also()

    def insert_chunk(self, row: ChunkRow) -> None:
        """Within a transaction."""
        self._in_groups(_INSERT_CHUNK, [row])

    def _use_id(self, chunk_id: int) -> None:
        """Never give it to another chunk, although no row has it."""
        self.db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'chunk'", (chunk_id,))
        if not self.db.changes():
            self.db.execute("INSERT INTO sqlite_sequence VALUES ('chunk', ?)", (chunk_id,))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is executed within."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                with contextlib.suppress(apsw.Error):
                    self.db.execute("ROLLBACK")
            raise

    def _in_groups(self, statements: dict[int, str], rows: Sequence[tuple[Any, ...]]) -> None:
        at = 0
        while at < len(rows):
            size = next(n for n in _ROW_SIZES if n <= len(rows) - at)
            self.db.execute(statements[size], list(itertools.chain.from_iterable(rows[at : at + size])))
            at += size

    def move_damaged(self, chunk_id: int, reason: str) -> int:
        """Take a chunk that can't be decoded out of the way, and keep its bytes; its number of deliveries."""
        with self.transaction():
            count: int = self.db.execute(
                "INSERT OR REPLACE INTO damaged SELECT id, destination_id, ?, count, accepted_ms, payload"
                " FROM chunk WHERE id = ? RETURNING count",
                (reason, chunk_id),
            ).get
            self._in_groups(_DELETE_CHUNK, [(chunk_id,)])
            self._in_groups(_DELETE_DONE, [(chunk_id,)])
        return count

    def discard_some(self, destination_id: int) -> tuple[list[int], int] | None:
        """Delete some of what is stored of a destination: the chunk ids and the shelf's bytes; None if nothing was left."""
        with self.transaction():
            chunks = self._all(
                f"SELECT id FROM chunk WHERE destination_id = ? LIMIT {STEP_ROWS}",  # noqa: S608 - a constant
                destination_id,
            )
            self._in_groups(_DELETE_CHUNK, chunks)
            self._in_groups(_DELETE_DONE, chunks)
            shelved = self._all(
                f"SELECT id, bytes FROM shelf INDEXED BY shelf_order WHERE destination_id = ? LIMIT {STEP_ROWS}",  # noqa: S608 - a constant
                destination_id,
            )
            shelf.delete(self.db, [entry_id for entry_id, _ in shelved])
            if not chunks and not shelved:
                self.db.execute("DELETE FROM damaged WHERE destination_id = ?", (destination_id,))
                return None
        return [chunk_id for (chunk_id,) in chunks], sum(size for _, size in shelved)

    def _all(self, sql: str, *bindings: int) -> list[Any]:
        return self.db.execute(sql, bindings).fetchall()

    # --- Reading

    def due(
        self, destination_id: int, place: tuple[int, int], until_ms: int, *, only_fresh: bool = False
    ) -> Iterator[tuple[int, int, int]]:
        """(due_ms, chunk id, state) in order, from `place` on."""
        return self.db.execute(
            "SELECT due_ms, id, state FROM chunk INDEXED BY chunk_due WHERE destination_id = ?"
            " AND (due_ms, id) >= (?, ?) AND due_ms <= ? AND state & ? = 0 ORDER BY due_ms, id",
            (destination_id, *place, until_ms, WAITS if only_fresh else 0),
        )

    def head(self, chunk_id: int) -> Head | None:
        """A chunk without its payload."""
        row = self.db.execute(f"SELECT {_HEAD} FROM chunk WHERE id = ?", (chunk_id,)).fetchone()  # noqa: S608 - a constant
        return row and Head(*row)

    def heads_of_origin(self, origin_id: int) -> list[Head]:
        """Chunks of deliveries that were accepted in another chunk."""
        rows = self.db.execute(
            f"SELECT {_HEAD} FROM chunk INDEXED BY chunk_origin WHERE origin_id = ? AND origin_id > 0",  # noqa: S608 - a constant
            (origin_id,),
        )
        return [Head(*row) for row in rows]

    def payload(self, chunk_id: int) -> bytes:
        """What `codec.encode_chunk` made."""
        return bytes(self.db.execute("SELECT payload FROM chunk WHERE id = ?", (chunk_id,)).get)

    def done_bits(self, chunk_id: int) -> int:
        """The bits that were settled."""
        return int.from_bytes(
            self.db.execute("SELECT bitmap FROM done WHERE chunk_id = ?", (chunk_id,)).get, "little"
        )

    def file_bytes(self) -> int:
        """The file and its WAL."""
        total = 0
        for name in (self.path, f"{self.path}-wal"):
            with contextlib.suppress(OSError):
                total += os.stat(name).st_size  # noqa: PTH116 - one of the two is no Path
        return total

    # --- A full disk

    def free_reserve(self) -> None:
        """Give up the reserve, so that what ends can still be written."""
        with contextlib.suppress(OSError):
            self._reserve_path.unlink()
        with contextlib.suppress(apsw.Error):
            if self._pages_max:
                pages = self._pages_max + self._reserve_bytes // PAGE_BYTES
                self.db.execute(f"PRAGMA max_page_count = {pages}")
            self.db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def restore_reserve(self) -> str:
        """Make the reserve if it isn't there; empty if it is then, else why it can't be made."""
        if self._pages_max:
            used = self._value("PRAGMA page_count") - self._value("PRAGMA freelist_count")
            room_min = min(self._pages_max // 16, self._reserve_bytes // PAGE_BYTES)
            if self._pages_max - used < room_min:
                return f"the journal has reached its limit of {self._pages_max * PAGE_BYTES >> 20} MiB"
            self.db.execute(f"PRAGMA max_page_count = {self._pages_max}")
        try:
            if self._missing_bytes() > 0:
                # More than the reserve alone, else the next append would only cost it again.
                room = os.statvfs(self.path.parent)
                if room.f_bavail * room.f_frsize < self._reserve_bytes + 2 * WAL_BYTES:
                    return "the disk is full"
                self._allocate()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._reserve_path.unlink()
            return f"no room for the reserve of {self._reserve_bytes >> 20} MiB: {error.strerror}"
        return ""

    def _missing_bytes(self) -> int:
        try:
            return self._reserve_bytes - self._reserve_path.stat().st_size
        except FileNotFoundError:
            return self._reserve_bytes

    def _allocate(self) -> None:
        file = os.open(self._reserve_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, self._reserve_bytes)
            os.fsync(file)
        finally:
            os.close(file)


def _not_a_journal(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not a journal of the engine",
        remedy="move the file away, or choose another data directory",
    )

"""The registry's file: functions, their immutable versions, destinations. Small, and used on the event loop.

Settings may be secrets: the file's mode is 0600.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import apsw

from engine.errors import ConfigurationError
from engine.model import Destination, FunctionVersion, Limits, Stop
from sandbox.wire import Handler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.clock import Clock

SCHEMA_VERSION: Final = 1
STOPS_KEPT_MS: Final = 31 * 86_400_000
"""Longer than `retry_for_s` can be."""
STOPS_KEPT: Final = 100
"""Of one destination; whoever pauses more often than that has its oldest events charged for it."""
_VERSION: Final = (
    "v.function_id, v.number, v.source, v.filename, v.handlers, v.code, v.policy_key, v.created_ms"
)
_SELECT: Final = (
    f"SELECT d.id, d.name, d.settings, d.limits, d.created_ms, d.deployed_ms, {_VERSION} FROM destination d"  # noqa: S608 - constants
    " JOIN version v ON v.function_id = d.function_id AND v.number = d.version"
)
_SELECT_VERSIONS: Final = (
    f"SELECT {_VERSION} FROM destination d JOIN version v ON v.function_id = d.function_id"  # noqa: S608 - constants
    " WHERE d.name = ? ORDER BY v.number"
)


class Registry:
    """Owner of the file."""

    def __init__(self, db: apsw.Connection, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    @classmethod
    def open(cls, path: Path, *, clock: Clock) -> Self:
        """Open or create. Raises `ConfigurationError` for a file of a newer version, or no registry at all."""
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise ConfigurationError(
                f"the registry {path} can't be opened: {error.strerror}",
                remedy="choose a --data-dir that this user may write to",
            ) from None
        db = apsw.Connection(str(path))
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            version = int(db.pragma("user_version"))
            if version > SCHEMA_VERSION:
                db.close()
                raise ConfigurationError(
                    f"{path} was written by a newer engine",
                    remedy="run that version, or choose another --data-dir",
                )
            if version == 0:
                with db:
                    db.execute(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))
                    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except apsw.Error as error:
            db.close()
            raise ConfigurationError(
                f"{path} is no registry: {error}", remedy="choose another --data-dir"
            ) from None
        return cls(db, clock)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def deploy(
        self,
        name: str,
        *,
        source: str,
        filename: str,
        handlers: Sequence[Handler],
        code: bytes,
        policy_key: str,
        settings: bytes,
        limits: Limits,
        author: str = "",
    ) -> Destination:
        """Keep the source as a new version (or the newest again, if it is the same) and point the destination at it.

        `author` is who deployed, as the caller knows them; empty if it doesn't.
        """
        now_ms = self._clock.now_ms()
        with self._db:
            existing = self.destination(name)
            if existing is None:
                function_id = self._insert(
                    "INSERT INTO function(name, created_ms) VALUES(?, ?)", (name, now_ms)
                )
                number = 1
            else:
                function_id = existing.version.function_id
                same = existing.version.source == source and existing.version.filename == filename
                number = existing.version.number + (not same)
                if same:
                    self.replace_code(existing.version, code, policy_key)
            if existing is None or number != existing.version.number:
                self._db.execute(
                    "INSERT INTO version VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        function_id,
                        number,
                        source,
                        filename,
                        json.dumps(handlers),
                        code,
                        policy_key,
                        now_ms,
                        author,
                    ),
                )
            packed_limits = json.dumps(asdict(limits))
            if existing is None:
                self._db.execute(
                    "INSERT INTO destination(name, function_id, version, settings, limits, created_ms, deployed_ms)"
                    " VALUES(?, ?, ?, ?, ?, ?, ?)",
                    (name, function_id, number, settings, packed_limits, now_ms, now_ms),
                )
            else:
                self._db.execute(
                    "UPDATE destination SET version = ?, settings = ?, limits = ?, deployed_ms = ? WHERE id = ?",
                    (number, settings, packed_limits, now_ms, existing.id),
                )
        deployed = self.destination(name)
        assert deployed is not None
        return deployed

    def _insert(self, statement: str, values: tuple[Any, ...]) -> int:
        self._db.execute(statement, values)
        return self._db.last_insert_rowid()

    def replace_code(self, version: FunctionVersion, code: bytes, policy_key: str) -> FunctionVersion:
        """The same source, compiled under another interpreter or policy."""
        self._db.execute(
            "UPDATE version SET code = ?, policy_key = ? WHERE function_id = ? AND number = ?",
            (code, policy_key, version.function_id, version.number),
        )
        return replace(version, code=code, policy_key=policy_key)

    def destination(self, name: str) -> Destination | None:
        """By name."""
        return next(self._read(f"{_SELECT} WHERE d.name = ?", (name,)), None)

    def destinations(self) -> list[Destination]:
        """All, by name."""
        return list(self._read(f"{_SELECT} ORDER BY d.name", ()))

    def versions(self, name: str) -> list[FunctionVersion]:
        """All versions of the function that a destination runs, the first first; empty for an unknown name."""
        return [_version(row) for row in self._db.execute(_SELECT_VERSIONS, (name,))]

    def remove(self, name: str) -> None:
        """Forget a destination; its function's versions stay. Ids are never used again."""
        self._db.execute("DELETE FROM destination WHERE name = ?", (name,))

    # --- Stopped by hand

    def stop(self, destination_id: int, state: str) -> tuple[Stop, ...]:
        """Its events wait from now on, also after a restart; one that is stopped already only changes its state."""
        lasting = "destination_id = ? AND until_ms IS NULL"
        with self._db:
            self._db.execute(f"UPDATE stop SET state = ? WHERE {lasting}", (state, destination_id))  # noqa: S608 - a constant
            if not self._db.changes():
                self._db.execute(
                    "INSERT OR REPLACE INTO stop VALUES(?, ?, NULL, ?)",
                    (destination_id, self._clock.now_ms(), state),
                )
        return self.stops(destination_id)

    def resume(self, destination_id: int) -> tuple[Stop, ...]:
        """It is stopped no more. What is long over is forgotten: no delivery is retried for so long."""
        now_ms = self._clock.now_ms()
        with self._db:
            self._db.execute(
                "UPDATE stop SET until_ms = ? WHERE destination_id = ? AND until_ms IS NULL",
                (now_ms, destination_id),
            )
            self._db.execute(
                "DELETE FROM stop WHERE destination_id = ?1 AND (until_ms < ?2 OR since_ms NOT IN"
                " (SELECT since_ms FROM stop WHERE destination_id = ?1 ORDER BY since_ms DESC LIMIT ?3))",
                (destination_id, now_ms - STOPS_KEPT_MS, STOPS_KEPT),
            )
        return self.stops(destination_id)

    def stops(self, destination_id: int) -> tuple[Stop, ...]:
        """When it was stopped, the oldest first; the last one may last still."""
        rows = self._db.execute(
            "SELECT state, since_ms, until_ms FROM stop WHERE destination_id = ? ORDER BY since_ms",
            (destination_id,),
        )
        return tuple(Stop(*row) for row in rows)

    def _read(self, query: str, values: tuple[Any, ...]) -> Iterator[Destination]:
        for row in self._db.execute(query, values):
            settings, limits = row[2], Limits(**json.loads(row[3]))
            yield Destination(row[0], row[1], _version(row[6:]), settings, limits, row[4], row[5])


def _version(row: tuple[Any, ...]) -> FunctionVersion:
    function_id, number, source, filename, handlers, code, policy_key, created_ms = row
    table = tuple(Handler(*item) for item in json.loads(handlers))
    return FunctionVersion(function_id, number, source, filename, table, code, policy_key, created_ms)

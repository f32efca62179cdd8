"""The registry's file: functions, their immutable versions, destinations. Small, and used on the event loop.

Settings may be secrets: the file's mode is 0600.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, Self

import apsw

from engine.errors import ConfigurationError
from engine.model import Destination, FunctionVersion, Limits
from sandbox.wire import Handler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.clock import Clock

SCHEMA_VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE function(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, created_ms INTEGER NOT NULL);
CREATE TABLE version(
    function_id INTEGER NOT NULL REFERENCES function(id),
    number INTEGER NOT NULL,
    source TEXT NOT NULL,
    filename TEXT NOT NULL,
    handlers TEXT NOT NULL,
    code BLOB NOT NULL,
    policy_key TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY(function_id, number)
);
CREATE TABLE destination(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    function_id INTEGER NOT NULL REFERENCES function(id),
    version INTEGER NOT NULL,
    settings BLOB NOT NULL,
    limits TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    deployed_ms INTEGER NOT NULL
);
"""
_SELECT: Final = (
    "SELECT d.id, d.name, d.settings, d.limits, d.created_ms, d.deployed_ms, v.function_id, v.number, v.source, v.filename,"
    " v.handlers, v.code, v.policy_key, v.created_ms FROM destination d"
    " JOIN version v ON v.function_id = d.function_id AND v.number = d.version"
)


class Registry:
    """Owner of the file."""

    def __init__(self, db: apsw.Connection, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    @classmethod
    def open(cls, path: Path, *, clock: Clock) -> Self:
        """Open or create. Raises `ConfigurationError` for a file of a newer version, or no registry at all."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = apsw.Connection(str(path))
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            version = int(db.pragma("user_version"))
            if version > SCHEMA_VERSION:
                raise ConfigurationError(
                    f"{path} was written by a newer engine",
                    remedy="run that version, or choose another --data-dir",
                )
            if version == 0:
                with db:
                    db.execute(SCHEMA)
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
    ) -> Destination:
        """Keep the source as a new version (or the newest again, if it is the same) and point the destination at it."""
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
                    "INSERT INTO version VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                    (function_id, number, source, filename, json.dumps(handlers), code, policy_key, now_ms),
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

    def remove(self, name: str) -> None:
        """Forget a destination; its function's versions stay. Ids are never used again."""
        self._db.execute("DELETE FROM destination WHERE name = ?", (name,))

    def _read(self, query: str, values: tuple[Any, ...]) -> Iterator[Destination]:
        for row in self._db.execute(query, values):
            handlers = tuple(Handler(*item) for item in json.loads(row[10]))
            version = FunctionVersion(row[6], row[7], row[8], row[9], handlers, row[11], row[12], row[13])
            yield Destination(row[0], row[1], version, row[2], Limits(**json.loads(row[3])), row[4], row[5])

"""Destinations, their settings and connections. Values that may be secret are sealed in the file and in memory.

They are opened for a worker that is bound, and for whoever changes the schema around them; nothing returns them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgpack

from engine.filters.parsing import parse
from engine.filters.program import program_of
from engine.model import Destination, Limits, Value
from engine.registry.functions import VERSION_COLUMNS, version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import apsw

    from engine.clock import Clock
    from engine.model import Function, FunctionVersion
    from engine.registry.audit import Audit
    from engine.registry.secrets import Keyring

_SELECT: Final = (
    "SELECT d.id, d.name, f.name, d.is_pinned, d.is_enabled, d.filter, d.limits, d.created_ms, d.deployed_ms,"  # noqa: S608 - constants
    f" {VERSION_COLUMNS} FROM destination d"
    " JOIN function f ON f.id = d.function_id"
    " JOIN version v ON v.function_id = d.function_id AND v.number = d.version"
)


class Destinations:
    """The tables of destinations, settings and connections."""

    def __init__(self, db: apsw.Connection, clock: Clock, audit: Audit, keys: Keyring) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._keys = keys
        self.defaults = Limits()
        """The daemon's limits, where a destination chooses none."""

    # --- Reading

    def get(self, name: str) -> Destination | None:
        """By name."""
        return next(self._read("WHERE d.name = ?", (name,)), None)

    def all(self) -> list[Destination]:
        """All, by name."""
        return list(self._read("ORDER BY d.name", ()))

    def of_function(self, function_id: int) -> list[Destination]:
        """Those that run a version of it, by name."""
        return list(self._read("WHERE d.function_id = ? ORDER BY d.name", (function_id,)))

    def _read(self, rest: str, values: tuple[Any, ...]) -> Iterator[Destination]:
        rows: list[tuple[Any, ...]] = self._db.execute(f"{_SELECT} {rest}", values).fetchall()
        for row in rows:
            id_, name, function, is_pinned, is_enabled, filter_text, limits, created_ms, deployed_ms = row[:9]
            yield Destination(
                id=id_,
                name=name,
                function=function,
                version=version_of(row[9:]),
                values=self._values(id_),
                limits=replace(self.defaults, **json.loads(limits)),
                chosen=tuple(json.loads(limits).items()),
                created_ms=created_ms,
                deployed_ms=deployed_ms,
                is_pinned=bool(is_pinned),
                is_enabled=bool(is_enabled),
                filter_text=filter_text,
                filter=program_of(parse(filter_text)),
                sources=self._sources(id_),
            )

    def _values(self, destination_id: int) -> tuple[Value, ...]:
        rows = self._db.execute(
            "SELECT name, is_sealed, value FROM setting WHERE destination_id = ? ORDER BY name",
            (destination_id,),
        )
        return tuple(Value(str(name), bool(is_sealed), bytes(value)) for name, is_sealed, value in rows)

    def _sources(self, destination_id: int) -> tuple[str, ...]:
        rows = self._db.execute(
            "SELECT s.name FROM connection c JOIN source s ON s.id = c.source_id WHERE c.destination_id = ? ORDER BY s.name",
            (destination_id,),
        )
        return tuple(str(name) for (name,) in rows)

    # --- Secrets

    def open_values(self, destination: Destination) -> dict[str, Any]:
        """All its values, opened. Raises `ConfigurationError` if a key is missing.

        For the worker that is bound to it, its egress channel, and checks against a schema; for nobody else.
        """
        opened = {}
        for value in destination.values:
            data = self._keys.open(destination.id, value.name, value.data) if value.is_sealed else value.data
            opened[value.name] = msgpack.unpackb(data)
        return opened

    def open_settings(self, destination: Destination) -> bytes:
        """What its worker is given: a msgpack map of the settings that its version knows (all, without a schema)."""
        schema = destination.version.schema
        values = self.open_values(destination)
        if schema is not None:
            known = {setting.name for setting in schema}
            values = {name: value for name, value in values.items() if name in known}
        if any(value.is_sealed for value in destination.values):
            self._audit.secret_opened(destination.name, "worker")
        packed: bytes = msgpack.packb(values)
        return packed

    def harmless_values(self, destination: Destination) -> dict[str, Any]:
        """Values of settings that the schema calls harmless: these may be shown."""
        return {
            value.name: msgpack.unpackb(value.data) for value in destination.values if not value.is_sealed
        }

    def count_sealed(self) -> int:
        """How many values are secrets."""
        return int(self._db.execute("SELECT count(*) FROM setting WHERE is_sealed").get)

    def reseal(self) -> int:
        """Seal everything anew that isn't under the current key, in one transaction; how many values that were."""
        changed = 0
        with self._db:
            rows: list[tuple[Any, ...]] = self._db.execute(
                "SELECT destination_id, name, value FROM setting WHERE is_sealed"
            ).fetchall()
            for destination_id, name, sealed in rows:
                if self._keys.needs_resealing(sealed):
                    opened = self._keys.open(destination_id, name, sealed)
                    self._db.execute(
                        "UPDATE setting SET value = ? WHERE destination_id = ? AND name = ?",
                        (self._keys.seal(destination_id, name, opened), destination_id, name),
                    )
                    changed += 1
        return changed

    # --- Changing

    def create(
        self,
        name: str,
        function: Function,
        version: FunctionVersion,
        *,
        chosen: Mapping[str, int],
        values: Mapping[str, Any],
        filter_text: str = "",
        sources: Iterable[str] = (),
        is_pinned: bool = False,
        is_enabled: bool = True,
        detail: dict[str, Any],
    ) -> Destination:
        """Make one. `chosen`: the limits that it chooses. `detail` is what the audit keeps of it."""
        now_ms = self._clock.now_ms()
        with self._db:
            self._db.execute(
                "INSERT INTO destination(name, function_id, version, is_pinned, is_enabled, filter, limits, created_ms, deployed_ms)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (name, function.id, version.number, is_pinned, is_enabled, filter_text, json.dumps(dict(chosen)), now_ms, now_ms),
            )  # fmt: skip
            destination_id = self._db.last_insert_rowid()
            self._put_values(destination_id, version, values)
            self._connect(destination_id, sources)
            self._audit.note("destination.create", name, **detail)
        return self._again(name)

    def change(
        self,
        existing: Destination,
        *,
        version: FunctionVersion,
        chosen: Mapping[str, int],
        values: Mapping[str, Any],
        filter_text: str,
        sources: Iterable[str],
        is_pinned: bool | None = None,
        is_enabled: bool | None = None,
        detail: dict[str, Any],
    ) -> Destination:
        """Change all of one. `detail` is what the audit keeps of the change."""
        is_pinned = existing.is_pinned if is_pinned is None else is_pinned
        is_enabled = existing.is_enabled if is_enabled is None else is_enabled
        with self._db:
            self._db.execute(
                "UPDATE destination SET version = ?, is_pinned = ?, is_enabled = ?, filter = ?, limits = ?, deployed_ms = ? WHERE id = ?",
                (version.number, is_pinned, is_enabled, filter_text, json.dumps(dict(chosen)), self._clock.now_ms(), existing.id),
            )  # fmt: skip
            self._put_values(existing.id, version, values, existing)
            self._connect(existing.id, sources)
            self._audit.note("destination.update", existing.name, **detail)
        return self._again(existing.name)

    def move(self, existing: Destination, version: FunctionVersion, *, is_pinned: bool) -> Destination:
        """Run another version, with the values it has; those that the version calls sensitive are sealed."""
        values = self.open_values(existing)
        with self._db:
            self._db.execute(
                "UPDATE destination SET version = ?, is_pinned = ?, deployed_ms = ? WHERE id = ?",
                (version.number, is_pinned, self._clock.now_ms(), existing.id),
            )
            self._put_values(existing.id, version, values, existing)
        return self._again(existing.name)

    def _again(self, name: str) -> Destination:
        stored = self.get(name)
        assert stored is not None
        return stored

    def _connect(self, destination_id: int, sources: Iterable[str]) -> None:
        self._db.execute("DELETE FROM connection WHERE destination_id = ?", (destination_id,))
        for name in sources:
            self._db.execute(
                "INSERT INTO connection SELECT id, ? FROM source WHERE name = ?", (destination_id, name)
            )

    def _put_values(
        self,
        destination_id: int,
        version: FunctionVersion,
        values: Mapping[str, Any],
        existing: Destination | None = None,
    ) -> None:
        """These and no others. Of an existing destination what stays the same stays sealed as it is."""
        harmless = {setting.name for setting in version.schema or () if not setting.sensitive}
        packed = {name: msgpack.packb(value) for name, value in values.items()}
        kept: set[str] = set()
        if existing is not None:
            before = {name: msgpack.packb(value) for name, value in self.open_values(existing).items()}
            for value in existing.values:
                is_same = packed.get(value.name) == before[value.name]
                if is_same and value.is_sealed is (value.name not in harmless):
                    kept.add(value.name)
                else:
                    where = (destination_id, value.name)
                    self._db.execute("DELETE FROM setting WHERE destination_id = ? AND name = ?", where)
        for name, data in packed.items():
            if name not in kept:
                is_sealed = name not in harmless
                stored = self._keys.seal(destination_id, name, data) if is_sealed else data
                self._db.execute(
                    "INSERT INTO setting VALUES(?, ?, ?, ?)", (destination_id, name, is_sealed, stored)
                )

    def remove(self, name: str) -> None:
        """Forget it; its function stays. Ids are never used again."""
        with self._db:
            self._db.execute("DELETE FROM destination WHERE name = ?", (name,))
            self._audit.note("destination.remove", name)

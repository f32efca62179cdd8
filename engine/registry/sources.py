"""Sources: where events come from. Each has write keys, several while they are changed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.model import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import apsw

    from engine.clock import Clock
    from engine.registry.audit import Audit

SAMPLES_KEPT: Final = 10
"""Events of each type, unless the source says otherwise."""


class Sources:
    """The tables of sources and write keys."""

    def __init__(self, db: apsw.Connection, clock: Clock, audit: Audit, new_key: Callable[[], str]) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._new_key = new_key

    def get(self, name: str) -> Source | None:
        """By name."""
        return next(self._read("WHERE name = ?", (name,)), None)

    def all(self) -> list[Source]:
        """All, by name."""
        return list(self._read("ORDER BY name", ()))

    def names(self) -> list[str]:
        """Of all."""
        return [str(name) for (name,) in self._db.execute("SELECT name FROM source ORDER BY name")]

    def by_key(self) -> dict[str, str]:
        """Every write key and the name of its source."""
        rows = self._db.execute("SELECT k.key, s.name FROM write_key k JOIN source s ON s.id = k.source_id")
        return {str(key): str(name) for key, name in rows}

    def _read(self, rest: str, values: tuple[Any, ...]) -> Iterator[Source]:
        columns = "SELECT id, name, samples_kept, created_ms FROM source"
        rows: list[tuple[Any, ...]] = self._db.execute(f"{columns} {rest}", values).fetchall()
        for id_, name, samples_kept, created_ms in rows:
            yield Source(id_, name, samples_kept, created_ms, self._keys(id_), self._connected(id_))

    def _keys(self, source_id: int) -> tuple[str, ...]:
        rows = self._db.execute(
            "SELECT key FROM write_key WHERE source_id = ? ORDER BY created_ms, rowid", (source_id,)
        )
        return tuple(str(key) for (key,) in rows)

    def _connected(self, source_id: int) -> tuple[str, ...]:
        rows = self._db.execute(
            "SELECT d.name FROM connection c JOIN destination d ON d.id = c.destination_id WHERE c.source_id = ? ORDER BY d.name",
            (source_id,),
        )
        return tuple(str(name) for (name,) in rows)

    def create(self, name: str, samples_kept: int) -> None:
        """With its first write key."""
        with self._db:
            self._db.execute(
                "INSERT INTO source(name, samples_kept, created_ms) VALUES(?, ?, ?)",
                (name, samples_kept, self._clock.now_ms()),
            )
            self._insert_key(self._db.last_insert_rowid())
            self._audit.note("source.create", name)

    def set_samples_kept(self, source: Source, samples_kept: int) -> None:
        """Events of each type that are kept for trying functions with."""
        with self._db:
            self._db.execute("UPDATE source SET samples_kept = ? WHERE id = ?", (samples_kept, source.id))
            self._audit.note("source.update", source.name, samples_kept=samples_kept)

    def add_key(self, source: Source) -> str:
        """One more write key."""
        with self._db:
            key = self._insert_key(source.id)
            self._audit.note("source.add_key", source.name, key=key)
        return key

    def _insert_key(self, source_id: int) -> str:
        key = self._new_key()
        self._db.execute("INSERT INTO write_key VALUES(?, ?, ?)", (key, source_id, self._clock.now_ms()))
        return key

    def remove_key(self, source: Source, key: str) -> None:
        """Nobody sends with it any more."""
        with self._db:
            self._db.execute("DELETE FROM write_key WHERE key = ? AND source_id = ?", (key, source.id))
            self._audit.note("source.remove_key", source.name, key=key)

    def remove(self, source: Source) -> None:
        """Forget it with its keys and connections; events that it sent stay where they are."""
        with self._db:
            self._db.execute("DELETE FROM source WHERE id = ?", (source.id,))
            self._audit.note("source.remove", source.name)

"""Functions and their versions: numbered from 1, and never changed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, cast

from engine.model import Code, Function, FunctionVersion, Setting, SettingType
from sandbox.wire import Handler

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from engine.clock import Clock
    from engine.registry.audit import Audit

VERSION_COLUMNS: Final = "v.function_id, v.number, v.source, v.filename, v.handlers, v.code, v.policy_key, v.created_ms, v.author, v.settings, v.libraries"
_FUNCTION: Final = "SELECT id, name, display_name, description, logo_url, deployed, created_ms FROM function"


class Functions:
    """The tables of functions and versions."""

    def __init__(self, db: apsw.Connection, clock: Clock, audit: Audit) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit

    def get(self, name: str) -> Function | None:
        """By name."""
        row = self._db.execute(f"{_FUNCTION} WHERE name = ?", (name,)).fetchone()
        return None if row is None else Function(*row)

    def all(self) -> list[Function]:
        """All, by name."""
        return [Function(*row) for row in self._db.execute(f"{_FUNCTION} ORDER BY name")]

    def versions(self, function_id: int) -> list[FunctionVersion]:
        """All of a function, the first first."""
        rows = self._db.execute(
            f"SELECT {VERSION_COLUMNS} FROM version v WHERE v.function_id = ? ORDER BY v.number",  # noqa: S608 - a constant
            (function_id,),
        )
        return [version_of(row) for row in rows]

    def version(self, function_id: int, number: int | None = None) -> FunctionVersion | None:
        """One, or the newest."""
        row = self._db.execute(
            f"SELECT {VERSION_COLUMNS} FROM version v WHERE v.function_id = ?1 AND v.number ="  # noqa: S608 - a constant
            " coalesce(?2, (SELECT max(number) FROM version WHERE function_id = ?1))",
            (function_id, number),
        ).fetchone()
        return None if row is None else version_of(row)

    def save(
        self,
        name: str,
        written: Code,
        *,
        handlers: Sequence[Handler],
        code: bytes,
        policy_key: str,
        libraries: Sequence[str] = (),
        author: str,
        about: dict[str, str],
    ) -> FunctionVersion:
        """Keep what is written as the next version; what is the same as the newest is that one again.

        A function of a new name is made. `about` holds those of display_name, description, logo_url that are to change.
        """
        with self._db:
            function = self._get_or_create(name)
            if about:
                self.describe(name, about)
            newest = self.version(function.id)
            if newest is None or Code(newest.source, newest.filename, newest.schema) != written:
                number = newest.number + 1 if newest is not None else 1
                schema = written.schema
                packed = None if schema is None else json.dumps([asdict(setting) for setting in schema])
                self._db.execute(
                    "INSERT INTO version VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (function.id, number, written.source, written.filename, packed, json.dumps(handlers), code, policy_key, json.dumps(libraries), self._clock.now_ms(), author),
                )  # fmt: skip
                self._audit.note("function.save", name, version=number)
            else:
                self.replace_code(replace(newest, libraries=tuple(libraries)), code, policy_key)
            saved = self.version(function.id)
        assert saved is not None
        return saved

    def _get_or_create(self, name: str) -> Function:
        function = self.get(name)
        if function is None:
            self._db.execute(
                "INSERT INTO function(name, display_name, description, logo_url, created_ms) VALUES(?, ?, '', '', ?)",
                (name, name, self._clock.now_ms()),
            )
            self._audit.note("function.create", name)
            function = self.get(name)
        assert function is not None
        return function

    def describe(self, name: str, about: dict[str, str]) -> None:
        """Change display_name, description, logo_url: those that are given."""
        function = self.get(name)
        assert function is not None
        changed = replace(function, **cast("dict[str, Any]", about))
        if changed != function:
            with self._db:
                self._db.execute(
                    "UPDATE function SET display_name = ?, description = ?, logo_url = ? WHERE id = ?",
                    (changed.display_name, changed.description, changed.logo_url, function.id),
                )
                self._audit.note("function.update", name, **about)

    def replace_code(self, version: FunctionVersion, code: bytes, policy_key: str) -> FunctionVersion:
        """The same source, compiled under another interpreter or policy, or with other `libraries` allowed."""
        self._db.execute(
            "UPDATE version SET code = ?, policy_key = ?, libraries = ? WHERE function_id = ? AND number = ?",
            (code, policy_key, json.dumps(version.libraries), version.function_id, version.number),
        )
        return replace(version, code=code, policy_key=policy_key)

    def set_deployed(self, function: Function, number: int) -> None:
        """What destinations run that aren't pinned, from now on. The caller moves them in the same transaction."""
        self._db.execute("UPDATE function SET deployed = ? WHERE id = ?", (number, function.id))
        self._db.execute(
            "INSERT OR REPLACE INTO deployment VALUES(?, ?, ?)", (function.id, number, self._clock.now_ms())
        )

    def deployments(self, function: Function) -> dict[int, int]:
        """Version → when it was deployed last (ms since the epoch); those that were."""
        rows = self._db.execute("SELECT version, at_ms FROM deployment WHERE function_id = ?", (function.id,))
        return {int(number): int(at_ms) for number, at_ms in rows}

    def remove(self, function: Function) -> None:
        """Forget it and its versions; the caller has seen that no destination needs them."""
        with self._db:
            self._db.execute("DELETE FROM function WHERE id = ?", (function.id,))
            self._audit.note("function.remove", function.name)


def version_of(row: tuple[Any, ...]) -> FunctionVersion:
    """A row of `VERSION_COLUMNS`."""
    (
        function_id,
        number,
        source,
        filename,
        handlers,
        code,
        policy_key,
        created_ms,
        author,
        settings,
        libraries,
    ) = row
    table = tuple(Handler(*item) for item in json.loads(handlers))
    schema = None
    if settings is not None:
        items = json.loads(settings)
        schema = tuple(Setting(**{**item, "type": SettingType(item["type"])}) for item in items)
    return FunctionVersion(
        function_id,
        number,
        source,
        filename,
        table,
        code,
        policy_key,
        created_ms,
        author,
        schema,
        tuple(json.loads(libraries)),
    )

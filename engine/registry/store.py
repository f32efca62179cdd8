"""The registry's file: functions, versions, destinations, settings, sources, audit. Small, and used on the event loop.

Secrets in it are sealed; its mode is 0600 all the same.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import string
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import apsw
import structlog

from engine.errors import ConfigurationError
from engine.model import Stop
from engine.registry.audit import Audit
from engine.registry.destinations import Destinations
from engine.registry.functions import Functions
from engine.registry.sources import Sources
from engine.registry.tokens import Tokens
from engine.registry.usage import Usage

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.clock import Clock
    from engine.registry.secrets import Keyring

log = structlog.get_logger()

SCHEMA_VERSION: Final = 1
FLUSH_S: Final = 1.0
USAGE_TURNS: Final = 10
"""Usage, of tokens too, is written every so many of them; a daemon that is killed loses what was used since."""
_KEY_CHARS: Final = string.ascii_letters + string.digits
STOPS_KEPT_MS: Final = 31 * 86_400_000
"""Longer than `retry_for_s` can be."""
STOPS_KEPT: Final = 100
"""Of one destination; whoever pauses more often than that has its oldest events charged for it."""


class Registry:
    """Owner of the file. Its parts are tables that change together."""

    def __init__(self, db: apsw.Connection, clock: Clock, keys: Keyring) -> None:
        self._db = db
        self._clock = clock
        self.audit = Audit(db, clock)
        self.functions = Functions(db, clock, self.audit)
        self.destinations = Destinations(db, clock, self.audit, keys)
        self.sources = Sources(db, clock, self.audit, new_write_key)
        self.tokens = Tokens(db, clock, self.audit)
        self.usage = Usage(db, clock)

    @classmethod
    def open(cls, path: Path, *, clock: Clock, keys: Keyring) -> Self:
        """Open or create; `keys` seal and open its secrets. Raises `ConfigurationError` for a file of a newer version, or no registry at all."""
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
        return cls(db, clock, keys)

    def close(self) -> None:
        """Write what is left to write, and close the file."""
        self.flush()
        self._db.close()

    def flush(self) -> None:
        """Write what is counted in memory: openings of secrets, usage, uses of tokens. Raises `apsw.Error`; nothing is lost by that."""
        self.audit.flush()
        self.tokens.flush()
        self.usage.flush()

    async def keep_flushing(self) -> None:
        """Until cancelled. What can't be written now is written later."""
        for turn in itertools.count(1):
            await asyncio.sleep(FLUSH_S)
            try:
                self.audit.flush()
                if turn % USAGE_TURNS == 0:
                    self.tokens.flush()
                    self.usage.flush()
            except apsw.Error as error:
                log.warning("registry_not_written", reason=str(error))

    def transaction(self) -> AbstractContextManager[object]:
        """All changes within it, or none. Those of the parts nest in it."""
        return self._db

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


def new_write_key() -> str:
    """32 letters and digits: nobody guesses one."""
    return "".join(secrets.choice(_KEY_CHARS) for _ in range(32))

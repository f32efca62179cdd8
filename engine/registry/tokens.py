"""Tokens: what people and programs show to be somebody. A token itself is shown once; its SHA-256 is kept.

It has 256 random bits, so a plain hash is enough: there is nothing to guess that salt or slowness would protect. It is
found by its hash, so how long that takes tells nothing of how much of a guess was right.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Conflict, UsageError
from engine.model import Token
from engine.roles import Grants

if TYPE_CHECKING:
    import apsw

    from engine.clock import Clock
    from engine.registry.audit import Audit

PREFIX: Final = "engine_"
"""So that scanners for leaked secrets know one."""
SECRET_BYTES: Final = 32
TOKENS_MAX: Final = 1_000
"""All are held in memory: a call must not wait for a file."""


def digest_of(token: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Tokens:
    """The table of tokens."""

    def __init__(self, db: apsw.Connection, clock: Clock, audit: Audit) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._by_digest = self._read()
        self._used: set[bytes] = set()

    def _read(self) -> dict[bytes, Token]:
        rows: list[tuple[Any, ...]] = self._db.execute(
            "SELECT digest, id, name, roles, created_ms, expires_ms, used_ms FROM token ORDER BY name"
        ).fetchall()
        return {
            digest: Token(id_, name, Grants.parse(json.loads(roles)), *times)
            for digest, id_, name, roles, *times in rows
        }

    def all(self) -> list[Token]:
        """By name; those that have expired too."""
        return sorted(self._by_digest.values(), key=lambda token: token.name)

    def get(self, name: str) -> Token | None:
        """By name."""
        return next((token for token in self._by_digest.values() if token.name == name), None)

    def find(self, digest: bytes) -> Token | None:
        """By `digest_of`, unless it has expired."""
        token = self._by_digest.get(digest)
        if token is None or (token.expires_ms is not None and token.expires_ms <= self._clock.now_ms()):
            return None
        return token

    def use(self, digest: bytes) -> None:
        """Note that one was used just now; `flush` writes."""
        token = self._by_digest.get(digest)
        if token is not None:
            self._by_digest[digest] = replace(token, used_ms=self._clock.now_ms())
            self._used.add(digest)

    def flush(self) -> None:
        """Write when tokens were last used."""
        if self._used:
            with self._db:
                self._db.executemany(
                    "UPDATE token SET used_ms = ? WHERE digest = ?",
                    [(self._by_digest[digest].used_ms, digest) for digest in self._used],
                )
            self._used.clear()

    def create(self, name: str, grants: Grants, expires_ms: int | None) -> tuple[Token, str]:
        """A new one, and the token itself, which nobody can learn again.

        Raises `UsageError` for a time that is past, `Conflict` if the name is taken or there are too many.
        """
        if expires_ms is not None and expires_ms <= self._clock.now_ms():
            raise UsageError("the token would have expired already", remedy="give a time to come")
        if self.get(name) is not None:
            raise Conflict(
                f"there is a token named {name!r}",
                remedy=f"choose another name, or `engine token remove {name}` first",
            )
        if len(self._by_digest) >= TOKENS_MAX:
            raise Conflict(f"there are {TOKENS_MAX} tokens", remedy="remove those that nobody uses")
        text = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        digest, now_ms = digest_of(text), self._clock.now_ms()
        with self._db:
            self._db.execute(
                "INSERT INTO token(digest, name, roles, created_ms, expires_ms) VALUES(?, ?, ?, ?, ?)",
                (digest, name, json.dumps(grants.texts), now_ms, expires_ms),
            )
            number = self._db.last_insert_rowid()
            self._audit.note(
                "token.create", name, number=number, roles=list(grants.texts), expires_ms=expires_ms
            )
        token = Token(number, name, grants, now_ms, expires_ms, None)
        self._by_digest[digest] = token
        return token, text

    def remove(self, token: Token) -> None:
        """It is nobody's any more, from now on."""
        with self._db:
            self._db.execute("DELETE FROM token WHERE id = ?", (token.id,))
            self._audit.note("token.remove", token.name, number=token.id)
        self._by_digest = {digest: each for digest, each in self._by_digest.items() if each.id != token.id}
        self._used &= self._by_digest.keys()

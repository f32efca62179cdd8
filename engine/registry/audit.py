"""Who changed what, and who opened a secret: only ever added to, in the transaction of the change itself.

Who asks is known where requests come in, and needed far below: it travels as a context variable.
"""

from __future__ import annotations

import json
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import apsw

    from engine.clock import Clock


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and from where: `uid 1000`, `pid 4711 on the socket`."""

    who: str
    origin: str


DAEMON: Final = Caller("engine", "the daemon itself")
CALLER: ContextVar[Caller] = ContextVar("caller", default=DAEMON)
"""Set by whoever takes requests, for the time of each."""
PAGE: Final = 1_000


class Audit:
    """The table of what happened."""

    def __init__(self, db: apsw.Connection, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._openings: Counter[tuple[str, str]] = Counter()

    def secret_opened(self, subject: str, purpose: str) -> None:
        """Count an opening; `flush` writes. A worker that is bound must not wait for a disk."""
        self._openings[subject, purpose] += 1

    def flush(self) -> None:
        """Write the openings that were counted since the last time, as one entry a destination and purpose."""
        if self._openings:
            with self._db:
                for (subject, purpose), count in self._openings.items():
                    self._add(DAEMON, "secret.open", subject, {"purpose": purpose, "count": count})
            self._openings.clear()

    def note(self, action: str, subject: str, **detail: Any) -> None:
        """Add an entry: what was done (`destination.update`) to what, with particulars that hold no secret."""
        self._add(CALLER.get(), action, subject, detail)

    def note_own(self, action: str, subject: str, **detail: Any) -> None:
        """Add an entry of what the daemon did of itself, whoever's request it did it in."""
        self._add(DAEMON, action, subject, detail)

    def _add(self, caller: Caller, action: str, subject: str, detail: dict[str, Any]) -> None:
        self._db.execute(
            "INSERT INTO audit(at_ms, who, origin, action, subject, detail) VALUES(?, ?, ?, ?, ?, ?)",
            (self._clock.now_ms(), caller.who, caller.origin, action, subject, json.dumps(detail)),
        )

    def entries(self, *, since_ms: int = 0, until_ms: int | None = None) -> Iterator[dict[str, Any]]:
        """All of a time, the oldest first: id, at_ms, who, origin, action, subject, detail. Read in pages."""
        self.flush()
        last = 0
        while True:
            rows: list[tuple[Any, ...]] = self._db.execute(
                "SELECT id, at_ms, who, origin, action, subject, detail FROM audit"
                " WHERE id > ? AND at_ms >= ? AND at_ms < ? ORDER BY id LIMIT ?",
                (last, since_ms, until_ms if until_ms is not None else 1 << 62, PAGE),
            ).fetchall()
            for row in rows:
                yield {
                    "id": row[0],
                    "at_ms": row[1],
                    "who": row[2],
                    "origin": row[3],
                    "action": row[4],
                    "subject": row[5],
                    "detail": json.loads(row[6]),
                }
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

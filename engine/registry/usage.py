"""What functions have used, by day, function and destination: added up in memory, and written from time to time.

Names are kept, not ids: what was used stays known when a destination is gone. A daemon that is killed loses what
it used since the last writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import apsw

    from engine.clock import Clock
    from engine.model import Destination

KEPT_DAYS: Final = 400


@dataclass(slots=True)
class Amounts:
    """What one destination used in a day."""

    invocations: int = 0
    events: int = 0
    busy_us: int = 0


class Usage:
    """The table of what was used."""

    def __init__(self, db: apsw.Connection, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._open: dict[tuple[str, str, str], Amounts] = {}
        self._pruned = ""

    def add(self, destination: Destination, *, invocations: int, events: int, busy_us: float) -> None:
        """A worker reports. `busy_us` is how long it had something to do, which several invocations may share."""
        key = (day_of(self._clock.now_ms()), destination.function, destination.name)
        amounts = self._open.setdefault(key, Amounts())
        amounts.invocations += invocations
        amounts.events += events
        amounts.busy_us += int(busy_us)

    def flush(self) -> None:
        """Write what has added up. It isn't worth waiting for the disk: the file stays whole without."""
        if not self._open:
            return
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._db:
                for (day, function, destination), used in self._open.items():
                    self._db.execute(
                        "INSERT INTO usage VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                        " invocations = invocations + excluded.invocations,"
                        " events = events + excluded.events, busy_us = busy_us + excluded.busy_us",
                        (day, function, destination, used.invocations, used.events, used.busy_us),
                    )
                self._prune()
            self._open.clear()
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def _prune(self) -> None:
        today = day_of(self._clock.now_ms())
        if self._pruned != today:
            self._pruned = today
            oldest = datetime.fromisoformat(today) - timedelta(days=KEPT_DAYS)
            self._db.execute("DELETE FROM usage WHERE day < ?", (oldest.date().isoformat(),))

    def rows(self, *, since_ms: int = 0, until_ms: int | None = None) -> list[dict[str, Any]]:
        """A map a day, function and destination: of the days of `since_ms` up to that of `until_ms`, the newest first."""
        self.flush()
        last = "9999-12-31" if until_ms is None else day_of(until_ms)
        rows = self._db.execute(
            "SELECT day, function, destination, invocations, events, busy_us FROM usage"
            " WHERE day BETWEEN ? AND ? ORDER BY day DESC, function, destination",
            (day_of(since_ms), last),
        )
        names = ("day", "function", "destination", "invocations", "events", "busy_us")
        return [dict(zip(names, row, strict=True)) for row in rows]


def day_of(ms: int) -> str:
    """`2026-11-24`, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()

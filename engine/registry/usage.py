"""What functions have used, by day, function and destination: added up in memory, and written from time to time.

Names are kept, not ids: what was used stays known when a destination is gone. A daemon that is killed loses what
it used since the last writing.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
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
    fetches: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


_NAMES: Final = tuple(field.name for field in fields(Amounts))


_ADD: Final = (
    f"INSERT INTO usage VALUES(?, ?, ?{', ?' * len(_NAMES)}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _NAMES)
)


class Usage:
    """The table of what was used."""

    def __init__(self, db: apsw.Connection, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._open: dict[tuple[str, str, str], Amounts] = {}
        self._pruned = ""

    def add(self, destination: Destination, **amounts: float) -> None:
        """A worker or the egress reports: some of `Amounts`, by name.

        `busy_us` is how long a worker had something to do, which several invocations may share; bytes are of bodies.
        """
        key = (day_of(self._clock.now_ms()), destination.function, destination.name)
        used = self._open.setdefault(key, Amounts())
        for name, amount in amounts.items():
            setattr(used, name, getattr(used, name) + int(amount))

    def flush(self) -> None:
        """Write what has added up. It isn't worth waiting for the disk: the file stays whole without."""
        if not self._open:
            return
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._db:
                self._db.executemany(_ADD, ((*key, *astuple(used)) for key, used in self._open.items()))
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
        names = ("day", "function", "destination", *_NAMES)
        rows = self._db.execute(
            f"SELECT {', '.join(names)} FROM usage"  # noqa: S608  names of ours
            " WHERE day BETWEEN ? AND ? ORDER BY day DESC, function, destination",
            (day_of(since_ms), last),
        )
        return [dict(zip(names, row, strict=True)) for row in rows]


def day_of(ms: int) -> str:
    """`2026-11-24`, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()

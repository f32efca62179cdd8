"""Whether the daemon can take events and deliver them: named checks, each with what it saw."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock
    from engine.dispatch.intake import Intake
    from engine.egress.supervise import Egress
    from engine.journal.contract import Journal
    from engine.workers.pool import Pool

DISK_FREE_MIB_MIN: Final = 64
"""With less, events will soon be refused; what was accepted has a reserve."""
ANSWER_S_MAX: Final = 1.0
"""How long the journal's thread, and the disk, may take to answer."""


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: `detail` says what was seen, for people; it holds nothing secret."""

    name: str
    is_ok: bool
    detail: str

    def as_map(self) -> dict[str, Any]:
        """As the API carries it."""
        return {"name": self.name, "ok": self.is_ok, "detail": self.detail}


class Readiness:
    """Looks at the parts; changes nothing."""

    def __init__(
        self, *, journal: Journal, intake: Intake, pool: Pool, egress: Egress, clock: Clock, data_dir: Path
    ) -> None:
        self._journal = journal
        self._intake = intake
        self._pool = pool
        self._egress = egress
        self._clock = clock
        self._data_dir = data_dir

    async def checks(self) -> list[Check]:
        """Each of them, always in the same order; takes no longer than `ANSWER_S_MAX`."""
        disk, lag = await asyncio.gather(self._disk(), self._journal_lag())
        is_writable, forks = self._journal.is_writable, self._pool.is_forking
        return [
            Check(
                "accepting",
                not self._intake.is_closed,
                "the daemon is stopping" if self._intake.is_closed else "events are taken",
            ),
            Check(
                "journal_writable",
                is_writable,
                "commits succeed" if is_writable else "commits fail: the log says why",
            ),
            lag,
            disk,
            Check("zygote", forks, "workers are forked" if forks else "it died, and is started again"),
            Check(
                "egress",
                self._egress.is_ready,
                "HTTP is performed" if self._egress.is_ready else "it died, and is started again",
            ),
        ]

    async def _disk(self) -> Check:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                usage = await asyncio.to_thread(shutil.disk_usage, self._data_dir)
        except (TimeoutError, OSError) as error:
            return Check("disk", False, f"the data directory can't be looked at: {type(error).__name__}")
        free_mib = usage.free >> 20
        return Check("disk", free_mib >= DISK_FREE_MIB_MIN, f"{free_mib} MiB are free")

    async def _journal_lag(self) -> Check:
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                # No destination has this number: it costs a turn of the journal's thread, and reads nothing.
                await self._journal.next_due(0)
        except TimeoutError:
            return Check("journal_lag", False, f"no answer within {ANSWER_S_MAX:g} s")
        except Unavailable:
            return Check("journal_lag", False, "it is closed")
        if self._intake.congested:
            return Check("journal_lag", False, "more waits for a commit than should")
        return Check(
            "journal_lag", True, f"it answered within {(self._clock.monotonic() - begun) * 1000:.0f} ms"
        )

"""Destinations as the egress knows them: rules, places and counts; and whose connections they use."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from engine.egress.blanking import Blanker
from engine.egress.counting import Counter
from engine.egress.rules import Rules, Step
from engine.egress.trace import SECRET_HEADERS
from engine.egress.upstream import Pool

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from engine.egress.upstream import Lookup

CONCURRENT_MAX: Final = 64
"""Requests of one destination at once; the others wait."""
LOOKUPS_MAX: Final = 4
"""Names of one destination that are being resolved at once: they occupy threads that all share."""


class Destination:
    """What is kept of one, while a worker is bound to it."""

    def __init__(self, number: int, table: Table) -> None:
        self.id = number
        self.rules = Rules()
        self.timeout_ms = 0
        self.channels = 0
        self.counter = Counter()
        self.secret_names = table.secret_names
        self.blanker = Blanker(())
        self.places = asyncio.Semaphore(CONCURRENT_MAX)
        """Held by each of its requests that is under way."""
        self.lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self.pool = table.pool

    def without_secrets(self, before: Step, after: Step) -> Step:
        """Across origins, without any header that holds one of the destination's secrets."""
        if before.target.origin == after.target.origin:
            return after
        kept = [(name, value) for name, value in after.headers if self.blanker.blank(value) == value]
        return after._replace(headers=kept)


class Table:
    """All destinations of this process."""

    def __init__(self, *, find: Lookup, tls: ssl.SSLContext) -> None:
        self.pool = Pool(find=find, tls=tls)
        self.secret_names = SECRET_HEADERS
        self._known: dict[int, Destination] = {}

    def __iter__(self) -> Iterator[Destination]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def get(self, number: int) -> Destination:
        """The destination, new or known."""
        destination = self._known.get(number)
        if destination is None:
            destination = self._known[number] = Destination(number, self)
        return destination

    def sweep(self) -> None:
        """Close what has been idle for long; forget whom no worker is bound to any more, once its counts are told."""
        self.pool.sweep(time.monotonic())
        for destination in list(self._known.values()):
            if not destination.channels and not destination.counter:
                del self._known[destination.id]

    async def close(self) -> None:
        """Wait for what is under way."""
        await self.pool.close()

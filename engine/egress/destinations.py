"""Destinations as the egress knows them: rules, places, connections and counts; and a bound on what idle ones keep."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from engine.egress.blanking import Blanker
from engine.egress.counting import Counter
from engine.egress.rules import Rules, Step
from engine.egress.trace import SECRET_HEADERS
from engine.egress.upstream import CONCURRENT_MAX, Upstream

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from engine.egress.upstream import Lookup

CONNECTIONS_MAX: Final = 1_024
"""Of all destinations together: beyond it those are closed that have been idle longest."""
IDLE_S_MAX: Final = 30.0


class Destination:
    """What is kept of one, while a worker is bound to it and a little longer."""

    def __init__(self, number: int, table: Table) -> None:
        self.id = number
        self.rules = Rules()
        self.timeout_ms = 0
        self.channels = 0
        self.counter = Counter()
        self.secret_names = table.secret_names
        self.blanker = Blanker(())
        self.taken = 0
        """Requests under way, `CONCURRENT_MAX` at most."""
        self.peak = 0
        """The most that were under way at once since connections were last closed: as many may be open."""
        self.used_at = time.monotonic()
        self._places = asyncio.Semaphore(CONCURRENT_MAX)
        self._table = table
        self._upstream: Upstream | None = None

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[Upstream]:
        """Wait for a place among its requests; its connections, which stay open for as long."""
        async with self._places:
            self.taken += 1
            self._table.used(self)
            upstream = self._upstream = self._upstream or self._table.make_upstream()
            upstream.users += 1
            try:
                yield upstream
            finally:
                self.taken -= 1
                upstream.users -= 1
                self.used_at = time.monotonic()
                if upstream is not self._upstream and not upstream.users:
                    self._table.close(upstream)

    def without_secrets(self, before: Step, after: Step) -> Step:
        """Across origins, without any header that holds one of the destination's secrets."""
        if before.target.origin == after.target.origin:
            return after
        kept = [(name, value) for name, value in after.headers if self.blanker.blank(value) == value]
        return after._replace(headers=kept)

    def retire_upstream(self) -> None:
        """The next request opens connections anew; these are closed once nothing uses them."""
        upstream, self._upstream, self.peak = self._upstream, None, self.taken
        if upstream is not None and not upstream.users:
            self._table.close(upstream)


class Table:
    """All destinations of this process."""

    def __init__(self, *, find: Lookup, tls: ssl.SSLContext) -> None:
        self.find = find
        self.tls = tls
        self.source_address = ""
        self.secret_names = SECRET_HEADERS
        self._known: dict[int, Destination] = {}
        self._connected: OrderedDict[int, Destination] = OrderedDict()
        """Those that may have open connections, least recently used first."""
        self._connections = 0
        self._closing: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Destination]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def make_upstream(self) -> Upstream:
        """A pool of its own."""
        return Upstream(find=self.find, tls=self.tls, source_address=self.source_address)

    def get(self, number: int) -> Destination:
        """The destination, new or known."""
        destination = self._known.get(number)
        if destination is None:
            destination = self._known[number] = Destination(number, self)
        return destination

    def used(self, destination: Destination) -> None:
        """It has begun a request: keep the number of connections in bounds."""
        self._connected[destination.id] = destination
        self._connected.move_to_end(destination.id)
        if destination.taken > destination.peak:
            self._connections += destination.taken - destination.peak
            destination.peak = destination.taken
        if self._connections > CONNECTIONS_MAX:
            for other in list(self._connected.values()):
                if self._connections <= CONNECTIONS_MAX * 3 // 4:
                    break
                if not other.taken:
                    self._retire(other)

    def sweep(self, now: float) -> None:
        """Close what has been idle for `IDLE_S_MAX`; forget whom no worker is bound to any more."""
        for destination in list(self._known.values()):
            if destination.taken:
                continue
            if not destination.channels or now - destination.used_at > IDLE_S_MAX:
                self._retire(destination)
            if not destination.channels and not destination.counter:
                self._known.pop(destination.id, None)

    def retire_all(self) -> None:
        """Rules have changed: no connection that was opened under the old ones is used for another request."""
        for destination in self._known.values():
            self._retire(destination)

    def _retire(self, destination: Destination) -> None:
        self._connections -= destination.peak
        destination.retire_upstream()
        self._connections += destination.peak
        if not destination.peak:
            self._connected.pop(destination.id, None)

    def close(self, upstream: Upstream) -> None:
        """Nothing uses it any more."""
        task = asyncio.get_running_loop().create_task(upstream.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def closed(self) -> None:
        """Wait for what is being closed."""
        while self._closing:
            await asyncio.wait(set(self._closing))

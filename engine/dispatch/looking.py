"""What is shown of destinations: what they are, how they do, what of theirs is stored, and what failed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from engine.dispatch import health, shelf
from engine.dispatch.shown import handler_map, iso
from engine.dispatch.states import STOPPED_BY_HAND
from engine.errors import Unavailable
from engine.model import FAILED_CODES
from engine.paths import LIMIT_OPTIONS
from engine.records import spans
from engine.records.store import AttemptFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from engine.clock import Clock
    from engine.dispatch.lane import Lane
    from engine.journal.contract import Filter, Journal
    from engine.records.records import Records


class Looking:
    """Changes nothing. Names are destinations' names."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        find: Callable[[str], Lane],
        *,
        journal: Journal,
        records: Records,
        clock: Clock,
    ) -> None:
        """`lanes` by name; `find` raises `NotFound` for a name that there isn't."""
        self._lanes = lanes
        self._find = find
        self._journal = journal
        self._records = records
        self._clock = clock

    def destinations(self) -> list[dict[str, Any]]:
        """A row a destination, by name."""
        return [self._summary(self._lanes[name]) for name in sorted(self._lanes)]

    def _summary(self, lane: Lane) -> dict[str, Any]:
        destination, totals = lane.destination, lane.record.totals
        return {
            "name": destination.name,
            "version": destination.version.number,
            "state": str(lane.state),
            "handlers": [handler.name for handler in destination.version.handlers],
            "workers": len(lane.workers),
            "ready": lane.ready_events,
            "in_flight": lane.in_flight,
            "delivered": totals.get("delivered", 0),
            "failed": sum(totals.get(code, 0) for code in FAILED_CODES),
            "deployed": iso(destination.deployed_ms),
        }

    async def show(self, name: str) -> dict[str, Any]:
        """One destination with its limits, counters and what is stored. Settings are shown by name only."""
        lane = self._find(name)
        destination = lane.destination
        depth = await self._journal.depth(destination.id)
        return {
            **self._summary(lane),
            "handlers": [handler_map(handler) for handler in destination.version.handlers],
            "libraries": list(destination.version.libraries),
            "settings": [value.name for value in destination.values],
            "limits": {name: getattr(destination.limits, name) for name, _ in LIMIT_OPTIONS},
            "stored": depth.stored,
            "stopped_since": iso(lane.stops[-1].since_ms) if lane.state in STOPPED_BY_HAND else None,
            "next_probe": iso(lane.probe_at_ms) if lane.probe_at_ms else None,
            "shelved": {"discarded": depth.shelved_discarded, "dead": depth.shelved_dead},
            "by_code": lane.record.by_code,
            "today": await self._today(lane),
            "responses": spans.responses(lane.record.totals),
            "retried": lane.record.totals.get(spans.RETRIED, 0),
            "dead": lane.record.totals.get(spans.DEAD, 0),
            "duplicates": lane.record.totals.get(spans.DUPLICATES, 0),
            "attempts_dropped": lane.record.totals.get(spans.ATTEMPTS_DROPPED, 0),
            "attempts_pruned": lane.record.totals.get(spans.ATTEMPTS_PRUNED, 0),
            "is_followed": lane.record.is_followed,
            "mean_us": round(lane.mean_us, 1) if lane.mean_us else None,
        }

    async def deliveries(self, name: str, *, state: str, where: Filter) -> AsyncIterator[dict[str, Any]]:
        """Stored deliveries; see `shelf.deliveries`. One that is named has its `attempts`, too. Raises `NotFound`."""
        lane = self._find(name)
        async for item in shelf.deliveries(self._journal, lane, state, where):
            if where.delivery is None:
                yield item
            else:
                yield {**item, "attempts": await self._records.attempts_of(lane.destination.id, item["id"])}

    async def logs(
        self, name: str, *, follow: bool, since_ms: int, code: str | None, limit: int
    ) -> AsyncIterator[dict[str, Any]]:
        """The newest attempts that failed, oldest first; with `follow` then every attempt from now on. Raises `NotFound`."""
        wanted = AttemptFilter(self._find(name).destination.id, since_ms, code, limit)
        async with contextlib.aclosing(self._records.lines(wanted, follow=follow)) as lines:
            async for line in lines:
                yield line

    async def health(self, name: str | None) -> list[dict[str, Any]]:
        """A row a destination, or that of one with longer windows too. Raises `NotFound`."""
        lanes = [self._find(name)] if name else [self._lanes[each] for each in sorted(self._lanes)]
        names = health.WINDOWS + (health.LONG_WINDOWS if name else ())
        windows = await self._records.windows([lane.destination.id for lane in lanes], names)
        rows = []
        for lane in lanes:
            of_lane = windows[lane.destination.id]
            destination, now_ms = lane.destination, self._clock.now_ms()
            found = await self._journal.retrying(destination.id)
            ahead = health.outlook(found, lane.state, lane.stops, destination.limits.retry_for_s, now_ms)
            row = health.row_of(destination.name, lane.state, of_lane, ahead, now_ms=now_ms)
            if self._records.failure:
                row["warnings"].append(f"what was counted lately is missing: {self._records.failure}")
            if name:
                row["windows"] = {each: health.window_of(of_lane[each]) for each in names}
            rows.append(row)
        return rows

    async def _today(self, lane: Lane) -> dict[str, int] | None:
        """Outcomes by code since midnight, UTC; None while the records can't be read, which they may."""
        try:
            counts = await self._records.today(lane.destination.id)
        except Unavailable:
            return None
        return {name: count for name, count in counts.items() if name not in spans.NOT_CODES}

"""What the daemon can be asked to do: the operations behind the API, on the parts that the daemon joined."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import structlog

from engine.control.control import Control
from engine.dispatch import health, shelf
from engine.dispatch.directory import Directory
from engine.dispatch.fanout import Fanout
from engine.dispatch.intake import Portion, Submit
from engine.dispatch.lane import Lane
from engine.dispatch.sample_file import SampleFile
from engine.dispatch.shown import handler_map, iso
from engine.dispatch.states import STOPPED_BY_HAND, LaneState
from engine.dispatch.tasks import Tasks
from engine.dispatch.trial import Trial, pack_settings, result_map
from engine.errors import Conflict, NotFound, Unavailable
from engine.model import FAILED_CODES
from engine.overview.overview import Overview
from engine.paths import LIMIT_OPTIONS
from engine.records import spans
from engine.records.store import AttemptFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from engine.clock import Clock
    from engine.dispatch.dispatcher import Dispatcher
    from engine.dispatch.intake import Intake
    from engine.dispatch.tally import Tally
    from engine.egress.supervise import Egress
    from engine.errors import EngineError
    from engine.journal.contract import Filter, Journal
    from engine.model import Destination, Limits
    from engine.records.records import Records
    from engine.registry.secrets import Keyring
    from engine.registry.store import Registry
    from engine.workers.pool import Pool
    from sandbox import wire

log = structlog.get_logger()


class Core:
    """The daemon's operations. Names are destinations' names."""

    def __init__(
        self,
        *,
        registry: Registry,
        keys: Keyring,
        journal: Journal,
        records: Records,
        pool: Pool,
        egress: Egress,
        dispatcher: Dispatcher,
        intake: Intake,
        clock: Clock,
        limits: Callable[[Mapping[str, int]], Limits],
        workspace: str,
        data_dir: Path,
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._records = records
        self._pool = pool
        self._egress = egress
        self._dispatcher = dispatcher
        self._intake = intake
        self._clock = clock
        self._limits = limits
        self._by_name: dict[str, Lane] = {}
        self._fanout = Fanout(dispatcher.lanes, workspace)
        self.directory = Directory(self._by_name)
        self.sample_file = SampleFile(data_dir / "samples", self._fanout.samples)
        self.control = Control(
            registry,
            keys,
            new_trial=lambda: Trial(pool, egress),
            limits=limits,
            changed=self.changed,
            resealed=self.resealed,
            sources_changed=self._take_sources,
        )
        self.overview = Overview(
            journal=journal,
            records=records,
            pool=pool,
            egress=egress,
            dispatcher=dispatcher,
            intake=intake,
            clock=clock,
            data_dir=data_dir,
        )
        self._tasks = Tasks(asyncio.get_running_loop())

    async def recover(self) -> None:
        """Take up every destination, and what the journal still holds of it."""
        self._take_sources()
        self.sample_file.load()
        for destination in self._registry.destinations.all():
            self._open_lane(destination)
            self._fanout.connect(destination)
            self._pool.expect(destination.version.libraries)
        await self._records.start()
        for destination_id, due_ms in (await self._journal.next_due()).items():
            lane = self._dispatcher.lanes.get(destination_id)
            if lane is not None:
                self._dispatcher.wake(lane, due_ms)
        for depth in (await self._journal.stats()).destinations:
            if depth.destination_id not in self._dispatcher.lanes:
                self._tasks.spawn(self._discard_rest(depth.destination_id))

    async def _discard_rest(self, destination_id: int) -> None:
        """A destination was removed, and the daemon ended before its events were deleted."""
        log.info("removal_continued", destination_id=destination_id)
        await self._journal.discard(destination_id)

    def _take_sources(self) -> None:
        self._fanout.take_sources(self._registry.sources.all())

    def _open_lane(self, destination: Destination) -> Lane:
        lane = Lane(
            destination,
            self._records.of(destination.id),
            stops=self._registry.stops(destination.id),
        )
        if lane.stops and lane.stops[-1].until_ms is None:
            lane.become(LaneState(lane.stops[-1].state))
        self._by_name[destination.name] = self._dispatcher.lanes[destination.id] = lane
        return lane

    def _lane(self, name: str) -> Lane:
        lane = self._by_name.get(name)
        if lane is None:
            raise NotFound(
                f"there is no destination named {name!r}",
                remedy="`engine list` shows those there are; `engine deploy FILE --name NAME` makes one",
            )
        return lane

    # --- Events

    @property
    def congested(self) -> bool:
        """More is waiting for a commit than should; don't read from clients."""
        return self._intake.congested

    async def relieved(self) -> None:
        """Wait until not `congested`."""
        await self._intake.relieved()

    def submit(
        self,
        name: str,
        events: wire.Events,
        acked: Callable[[EngineError | None, int], None],
        tally: Tally | None,
        *,
        is_deduped: bool = True,
        to_source: bool = False,
    ) -> None:
        """Take events; `acked` follows once they are durable, with the number of duplicates, which aren't stored.

        `name` is a destination's, or with `to_source` a source's, which feeds all that are connected to it. Raises
        `NotFound`, `Conflict` or `Unavailable` at once.
        """
        if to_source:
            fanned = self._fanout.divide(name, events)
            self._intake.submit(fanned.submit(acked, tally, is_deduped=is_deduped))
            return
        lane = self._lane(name)
        if not lane.destination.is_enabled:
            raise Conflict(
                f"the destination {name!r} is disabled", remedy=f"`engine destination update {name} --enable`"
            )
        self._intake.submit(Submit([Portion(lane, events)], acked, tally, is_deduped))

    def samples(self, *, name: str, type: str | None = None) -> list[bytes]:  # noqa: A002  the API's name
        """The last events that a source sent, msgpack each. Raises `NotFound`."""
        return self._fanout.outlet(name).samples.bodies(type)

    # --- Functions

    def changed(self, destination: Destination) -> None:
        """A destination was made or changed: what its workers hold ends under the old, the rest runs under the new."""
        if destination.name not in self._by_name:
            self._open_lane(destination)
        self._dispatcher.deploy(destination)
        self._fanout.connect(destination)

    def take_limits(self, defaults: Limits) -> None:
        """The daemon's limits are these from now on: they hold for all that a destination didn't choose itself."""
        destinations = self._registry.destinations
        if defaults == destinations.defaults:
            return
        destinations.defaults = defaults
        for destination in destinations.all():
            lane = self._by_name.get(destination.name)
            if lane is not None and lane.destination.limits != destination.limits:
                self.changed(destination)

    def resealed(self, destination: Destination) -> None:
        """A destination's secrets are sealed under another key; its workers needn't know."""
        lane = self._by_name.get(destination.name)
        if lane is not None:
            lane.destination = destination

    async def test(
        self,
        *,
        source: str,
        filename: str,
        events: wire.Events,
        settings: dict[str, Any],
        limits: dict[str, int],
        batch: bool = False,
    ) -> list[dict[str, Any]]:
        """Run events through a function that isn't deployed, one after the other or as one batch. Raises `FunctionRefused`."""
        trial = Trial(self._pool, self._egress)
        try:
            packed = pack_settings(settings)
            await trial.load(source=source, filename=filename, settings=packed, limits=self._limits(limits))
            return [result_map(code, detail) for code, detail in await trial.invoke(events, batch=batch)]
        finally:
            trial.close()

    # --- Stopping and letting go on

    def pause(self, name: str) -> dict[str, Any]:
        """Hand nothing more to a destination's workers; its events wait, and their time for retries stands still."""
        lane = self._lane(name)
        is_changed = lane.state not in STOPPED_BY_HAND
        if is_changed:
            lane.stops = self._registry.stop(lane.destination.id, LaneState.PAUSED)
            self._dispatcher.gate.pause(lane)
        return {"name": name, "state": str(lane.state), "changed": is_changed}

    def resume(self, name: str) -> dict[str, Any]:
        """End a pause or a quarantine, and what the circuit breaker has closed."""
        lane = self._lane(name)
        was = lane.state
        if was in STOPPED_BY_HAND:
            lane.stops = self._registry.resume(lane.destination.id)
        self._dispatcher.gate.resume(lane)
        return {"name": name, "state": str(lane.state), "changed": was is not lane.state}

    def quarantined(self, lane: Lane) -> None:
        """A worker of it left the sandbox: keep that it is stopped, beyond a restart."""
        lane.stops = self._registry.stop(lane.destination.id, LaneState.QUARANTINED)

    # --- What is stored

    async def deliveries(self, name: str, *, state: str, where: Filter) -> AsyncIterator[dict[str, Any]]:
        """Stored deliveries; see `shelf.deliveries`. One that is named has its `attempts`, too. Raises `NotFound`."""
        lane = self._lane(name)
        async for item in shelf.deliveries(self._journal, lane, state, where):
            if where.delivery is None:
                yield item
            else:
                yield {**item, "attempts": await self._records.attempts_of(lane.destination.id, item["id"])}

    def replay(
        self, name: str, *, state: str, where: Filter, limit: int | None, dry_run: bool
    ) -> AsyncIterator[dict[str, Any]]:
        """Put what is on the shelf back into the queue; see `shelf.replay`. Raises `NotFound`, `JournalFull`."""
        return shelf.replay(
            self._journal,
            self._dispatcher,
            self._clock,
            self._lane(name),
            state=state,
            where=where,
            limit=limit,
            dry_run=dry_run,
        )

    # --- Looking

    def list_destinations(self) -> list[dict[str, Any]]:
        """A row a destination, by name."""
        return [self._summary(self._by_name[name]) for name in sorted(self._by_name)]

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
        lane = self._lane(name)
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

    async def remove(self, name: str, *, discard: bool) -> dict[str, Any]:
        """Forget a destination. Raises `Conflict` while events are stored, unless they are to be discarded."""
        lane = self._lane(name)
        depth = await self._journal.depth(lane.destination.id)
        if depth.stored and not discard:
            raise Conflict(
                f"{depth.stored} events for {name!r} are waiting",
                remedy="wait until they are delivered, or discard them with `--discard`",
                data={"stored": depth.stored},
            )
        self.overview.forget(lane)
        self._by_name.pop(name, None)
        self._dispatcher.remove(lane)
        self._registry.destinations.remove(name)
        self._fanout.disconnect(lane.destination.id)
        self._records.forget(lane.destination.id)
        return {"name": name, "discarded": await self._journal.discard(lane.destination.id)}

    def workers(self) -> list[dict[str, Any]]:
        """A row a worker."""
        return self._pool.describe()

    async def logs(
        self, name: str, *, follow: bool, since_ms: int, code: str | None, limit: int
    ) -> AsyncIterator[dict[str, Any]]:
        """The newest attempts that failed, oldest first; with `follow` then every attempt from now on. Raises `NotFound`."""
        wanted = AttemptFilter(self._lane(name).destination.id, since_ms, code, limit)
        async with contextlib.aclosing(self._records.lines(wanted, follow=follow)) as lines:
            async for line in lines:
                yield line

    async def health(self, name: str | None) -> list[dict[str, Any]]:
        """A row a destination, or that of one with longer windows too. Raises `NotFound`."""
        lanes = [self._lane(name)] if name else [self._by_name[each] for each in sorted(self._by_name)]
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

    def version_compiled(self, destination: Destination, code: bytes, policy_key: str) -> None:
        """A worker compiled a deployed source anew, under this interpreter and policy: keep it."""
        self._registry.functions.replace_code(destination.version, code, policy_key)
        lane = self._by_name.get(destination.name)
        if lane is not None and lane.destination is destination:
            lane.destination = self._registry.destinations.get(destination.name) or lane.destination

"""What the daemon can be asked to do: the operations behind the API, on the parts that the daemon joined."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from engine.control.control import Control
from engine.dispatch import shelf
from engine.dispatch.directory import Directory
from engine.dispatch.fanout import Fanout
from engine.dispatch.intake import Portion, Submit
from engine.dispatch.lane import Lane
from engine.dispatch.looking import Looking
from engine.dispatch.sample_file import SampleFile
from engine.dispatch.states import STOPPED_BY_HAND, LaneState
from engine.dispatch.tasks import Tasks
from engine.dispatch.trial import Trial, pack_settings, result_map
from engine.errors import Conflict, NotFound
from engine.overview.overview import Overview

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
        self.looking = Looking(self._by_name, self._lane, journal=journal, records=records, clock=clock)
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
            with self._registry.transaction():
                lane.stops = self._registry.stop(lane.destination.id, LaneState.PAUSED)
                self._registry.audit.note("destination.pause", name)
            self._dispatcher.gate.pause(lane)
        return {"name": name, "state": str(lane.state), "changed": is_changed}

    def resume(self, name: str) -> dict[str, Any]:
        """End a pause or a quarantine, and what the circuit breaker has closed."""
        lane = self._lane(name)
        was = lane.state
        with self._registry.transaction():
            if was in STOPPED_BY_HAND:
                lane.stops = self._registry.resume(lane.destination.id)
            if was is not LaneState.RUNNING:
                self._registry.audit.note("destination.resume", name, was=str(was))
        self._dispatcher.gate.resume(lane)
        return {"name": name, "state": str(lane.state), "changed": was is not lane.state}

    def quarantined(self, lane: Lane) -> None:
        """A worker of it left the sandbox: keep that it is stopped, beyond a restart."""
        with self._registry.transaction():
            lane.stops = self._registry.stop(lane.destination.id, LaneState.QUARANTINED)
            self._registry.audit.note_own("destination.quarantine", lane.destination.name)

    # --- What is stored

    def replay(
        self, name: str, *, state: str, where: Filter, limit: int | None, dry_run: bool
    ) -> AsyncIterator[dict[str, Any]]:
        """Put what is on the shelf back into the queue; see `shelf.replay`. Raises `NotFound`, `JournalFull`."""
        lane = self._lane(name)
        if not dry_run:
            self._registry.audit.note("destination.replay", name, **shelf.asked(state, where, limit))
        return shelf.replay(
            self._journal,
            self._dispatcher,
            self._clock,
            lane,
            state=state,
            where=where,
            limit=limit,
            dry_run=dry_run,
        )

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

    def version_compiled(self, destination: Destination, code: bytes, policy_key: str) -> None:
        """A worker compiled a deployed source anew, under this interpreter and policy: keep it."""
        self._registry.functions.replace_code(destination.version, code, policy_key)
        lane = self._by_name.get(destination.name)
        if lane is not None and lane.destination is destination:
            lane.destination = self._registry.destinations.get(destination.name) or lane.destination

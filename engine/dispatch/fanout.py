"""From a source to its destinations: what is connected, compiled once, and what each gets of a submit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.dispatch.intake import Origin, Portion, Submit
from engine.dispatch.routing import Route, route
from engine.dispatch.samples import Samples
from engine.errors import NotFound
from engine.filters.headers import header_filter
from engine.filters.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.dispatch.lane import Lane
    from engine.dispatch.tally import Tally
    from engine.errors import EngineError
    from engine.model import Destination, Source
    from sandbox.wire import Events


@dataclass(slots=True)
class Outlet:
    """A source as events see it."""

    id: int
    samples: Samples
    routes: dict[int, Route] = field(default_factory=dict)
    """Destination id → what it is to routing."""


@dataclass(slots=True)
class FannedOut:
    """What becomes of a source's submit."""

    origin: Origin
    portions: list[Portion]
    filtered: list[tuple[Lane, int]] = field(default_factory=list)
    """What headers alone keep away."""

    def submit(
        self, acked: Callable[[EngineError | None, int], None], tally: Tally | None, *, is_deduped: bool
    ) -> Submit:
        """For the intake. What is filtered already is counted once the rest is durable."""
        if tally is not None:
            filtered = sum(count for _, count in self.filtered)
            tally.expected = sum(len(portion.events.sizes) for portion in self.portions) + filtered

        def durable(error: EngineError | None, duplicates: int) -> None:
            acked(error, duplicates)
            for lane, count in self.filtered if error is None else ():
                lane.record.count("filtered", count)
                if tally is not None:
                    tally.add("counted", "filtered", count)

        return Submit(self.portions, durable, tally, is_deduped, self.origin)


class Fanout:
    """Owner of what is connected to which source, and of what each sent last."""

    def __init__(self, lanes: Mapping[int, Lane], workspace: str) -> None:
        """`lanes` by destination id; `workspace` is how `integrations` names this installation: `Name (workspace)`."""
        self._lanes = lanes
        self._workspace = workspace
        self._outlets: dict[str, Outlet] = {}

    def take_sources(self, sources: list[Source]) -> None:
        """These are all that there are. What a source was connected to, and has sent, stays with it."""
        outlets: dict[str, Outlet] = {}
        for source in sources:
            known = self._outlets.get(source.name)
            outlet = known if known is not None and known.id == source.id else Outlet(source.id, Samples(0))
            outlet.samples.resize(source.samples_kept)
            outlets[source.name] = outlet
        self._outlets = outlets

    def samples(self) -> dict[int, Samples]:
        """What is kept of each source, by its id."""
        return {outlet.id: outlet.samples for outlet in self._outlets.values()}

    def connect(self, destination: Destination) -> None:
        """It is new, or not what it was: compile its filter, and let its sources feed it from now on."""
        self.disconnect(destination.id)
        if destination.is_enabled and destination.sources:
            name = destination.name
            names = (f"{name} ({self._workspace})", name)
            entry = Route(destination.id, names, header_filter(parse(destination.filter_text)))
            for source in destination.sources:
                self._outlets[source].routes[destination.id] = entry

    def disconnect(self, destination_id: int) -> None:
        """Nothing feeds it any more."""
        for outlet in self._outlets.values():
            outlet.routes.pop(destination_id, None)

    def outlet(self, name: str) -> Outlet:
        """Raises `NotFound`."""
        outlet = self._outlets.get(name)
        if outlet is None:
            raise NotFound(
                f"there is no source named {name!r}",
                remedy=f"`engine source list` shows those there are; `engine source create {name}` makes one",
            )
        return outlet

    def divide(self, name: str, events: Events) -> FannedOut:
        """What each destination gets. Raises `NotFound`, or `InvalidEvent` for a header that can't be read."""
        outlet = self.outlet(name)
        routed = route(events, list(outlet.routes.values()))
        outlet.samples.keep(events)
        fanned = FannedOut(Origin(-outlet.id, events.message_ids), [])
        for entry in routed:
            lane = self._lanes[entry.destination_id]
            if entry.events is not None:
                fanned.portions.append(Portion(lane, entry.events, entry.places))
            if entry.filtered:
                fanned.filtered.append((lane, entry.filtered))
        return fanned

"""A source's events → what each connected destination gets of them: pure, on headers alone.

Costs go with frames where they can: a destination without restrictions gets the columns as they are; a filter on types
is one `bytes.translate`. Only ids, samples and `integrations` objects cost something an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.errors import InvalidEvent
from engine.events import INTEGRATIONS_MAX
from engine.filters import headers
from sandbox.wire import WireError, sample_position, unpack_limited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.filters.headers import HeaderFilter
    from sandbox.wire import Events

ALL: Final = "All"


@dataclass(frozen=True, slots=True)
class Route:
    """A destination as routing sees it."""

    destination_id: int
    names: tuple[str, ...]
    """What `integrations` calls it, the most particular first: `Name (Workspace)`, `Name`."""
    filter: HeaderFilter | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """What a destination gets."""

    destination_id: int
    events: Events | None
    """None if nothing is left."""
    places: Sequence[int] = ()
    """Which of the source's events these are; rising."""
    filtered: int = 0
    """Dropped by its filter."""
    excluded: int = 0
    """Kept away by their `integrations`."""


def route(events: Events, routes: Sequence[Route]) -> list[Routed]:
    """One entry a route, in order. Raises `InvalidEvent` for an `integrations` header that can't be read."""
    wishes = {index: _wishes(index, packed) for index, packed in events.integrations.items()}
    positions: list[int] = []
    return [_routed(events, entry, wishes, positions) for entry in routes]


def _routed(events: Events, entry: Route, wishes: dict[int, dict[str, bool]], positions: list[int]) -> Routed:
    count = len(events.sizes)
    excluded = {index for index, wish in wishes.items() if not _wants(wish, entry.names)}
    kept = _passing(events, entry.filter, positions) if entry.filter is not None else None
    if not excluded:
        if kept is None or len(kept) == count:
            return Routed(entry.destination_id, events, range(count))
        left = events.pick(kept) if kept else None
        return Routed(entry.destination_id, left, kept, filtered=count - len(kept))
    passing = range(count) if kept is None else kept
    wanted = [index for index in passing if index not in excluded]
    return Routed(
        entry.destination_id,
        events.pick(wanted) if wanted else None,
        wanted,
        filtered=count - len(wanted) - len(excluded),
        excluded=len(excluded),
    )


def _passing(events: Events, rules: HeaderFilter, positions: list[int]) -> list[int] | None:
    """Places of those that aren't dropped; None if that is all of them."""
    verdicts = events.types.translate(rules.by_type)
    if verdicts.count(headers.PASS) == len(verdicts):
        return None
    if headers.LOOK not in verdicts:
        return [index for index, verdict in enumerate(verdicts) if verdict]
    if rules.samples and not positions:
        positions += _positions(events)
    drops, places = rules.drops, positions or [0] * len(verdicts)
    return [
        index
        for index, (verdict, kind, message_id, user_key, place) in enumerate(
            zip(verdicts, events.types, events.message_ids, events.user_keys, places, strict=True)
        )
        if verdict == headers.PASS or (verdict and not drops(kind, message_id, user_key, place))
    ]


def _positions(events: Events) -> list[int]:
    positions = []
    start = 0
    for message_id, size in zip(events.message_ids, events.sizes, strict=True):
        body = b"" if message_id else events.bodies[start : start + size]
        positions.append(sample_position(message_id, body))
        start += size
    return positions


def _wishes(index: int, packed: bytes) -> dict[str, bool]:
    """Name → whether the event wants to go there."""
    try:
        wishes = unpack_limited(packed, items_max=0, map_max=INTEGRATIONS_MAX)
    except WireError:
        wishes = None
    if (
        type(wishes) is not dict
        or not all(type(key) is str for key in wishes)
        or not {bool}.issuperset(map(type, wishes.values()))
    ):
        raise InvalidEvent(
            f"event {index}: its integrations header is no map of names to true and false",
            remedy=f"send true, false or an object for each of at most {INTEGRATIONS_MAX} names",
            data={"index": index},
        )
    return wishes


def _wants(wishes: dict[str, bool], names: Sequence[str]) -> bool:
    """Names are compared letter by letter. What isn't named follows `All`, and that is true if it isn't there."""
    for name in names:
        wish = wishes.get(name)
        if wish is not None:
            return wish
    return wishes.get(ALL, True)

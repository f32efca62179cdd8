"""The last events of each type that a source sent, for trying functions with. In memory, bounded, and lost with the daemon."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING

from sandbox.wire import EVENT_TYPES

if TYPE_CHECKING:
    from sandbox.wire import Events


class Samples:
    """Of one source. Costs go with frames: of each type only the last `kept` are looked at."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._by_type: dict[int, deque[bytes]] = {}

    def resize(self, kept: int) -> None:
        """Keep so many from now on."""
        self._kept = kept
        self._by_type = {kind: deque(bodies, maxlen=kept) for kind, bodies in self._by_type.items() if kept}

    def keep(self, events: Events) -> None:
        """Look at what came."""
        if not self._kept:
            return
        ends = list(itertools.accumulate(events.sizes))
        for kind in set(events.types):
            bodies = self._by_type.setdefault(kind, deque(maxlen=self._kept))
            for at in _last_places(events.types, kind, self._kept):
                bodies.append(events.bodies[ends[at] - events.sizes[at] : ends[at]])

    def bodies(self, event_type: str | None = None) -> list[bytes]:
        """Events as they came, msgpack, those of a type in the order in which they came."""
        kinds = range(len(EVENT_TYPES)) if event_type is None else [EVENT_TYPES.index(event_type)]
        return [body for kind in kinds for body in self._by_type.get(kind, ())]


def _last_places(types: bytes, kind: int, count: int) -> list[int]:
    """Where the last `count` of a type stand, the first of them first."""
    places: list[int] = []
    end = len(types)
    while len(places) < count and (at := types.rfind(kind, 0, end)) >= 0:
        places.append(at)
        end = at
    return places[::-1]

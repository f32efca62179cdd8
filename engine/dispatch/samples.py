"""The last events of each type that a source sent, for trying functions with. In memory, and bounded; `sample_file` keeps them."""

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
        self.is_changed = False
        """Since `take` was last called."""

    def resize(self, kept: int) -> None:
        """Keep so many from now on."""
        self.is_changed = self.is_changed or kept != self._kept
        self._kept = kept
        self._by_type = {kind: deque(bodies, maxlen=kept) for kind, bodies in self._by_type.items() if kept}

    def keep(self, events: Events) -> None:
        """Look at what came."""
        if not self._kept:
            return
        self.is_changed = True
        ends = list(itertools.accumulate(events.sizes))
        for kind in set(events.types):
            bodies = self._by_type.setdefault(kind, deque(maxlen=self._kept))
            for at in _last_places(events.types, kind, self._kept):
                bodies.append(events.bodies[ends[at] - events.sizes[at] : ends[at]])

    def take(self) -> dict[int, list[bytes]]:
        """All, by the number of their type."""
        self.is_changed = False
        return {kind: list(bodies) for kind, bodies in self._by_type.items()}

    def restore(self, by_type: dict[int, list[bytes]]) -> None:
        """What `take` gave once; no more of it than is kept now."""
        if self._kept:
            self._by_type = {
                kind: deque(bodies, maxlen=self._kept)
                for kind, bodies in by_type.items()
                if 0 <= kind < len(EVENT_TYPES)
            }

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

"""What runs what: what must be known to judge who may ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.dispatch.lane import Lane


class Directory:
    """A view of destinations as they are now."""

    def __init__(self, lanes: Mapping[str, Lane]) -> None:
        """`lanes` by their destinations' names."""
        self._lanes = lanes

    def function_of(self, destination: str) -> str | None:
        """The function that a destination runs; None if there is no such destination."""
        lane = self._lanes.get(destination)
        return None if lane is None else lane.destination.function

    def has_destinations(self, function: str) -> bool:
        """Some destination runs it."""
        return any(lane.destination.function == function for lane in self._lanes.values())

"""What the journal holds, counted in memory, so that no question about amounts reads the disk.

Written by the writer's thread only, after the commit that made it true. Other threads read single numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.journal.contract import DestinationDepth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.journal.rows import ChunkRow, Writes
    from engine.journal.shelf import Pruned

Place = tuple[int, int]
"""(due_ms, chunk id): a chunk's place in its destination's order."""


@dataclass(slots=True)
class Stored:
    """Of one destination."""

    deliveries: int = 0
    chunks: int = 0
    leased: int = 0
    """Chunks."""
    discarded: int = 0
    """Deliveries on the shelf, as is `dead`."""
    dead: int = 0
    pruned: int = 0
    """Deliveries that left the shelf for its bounds, since the start."""
    floor: Place = (-(2**63), 0)
    """Every chunk before it is leased: where the next search begins."""

    @property
    def has_unleased(self) -> bool:
        """A lease may find something."""
        return self.leased < self.chunks

    def lower_floor(self, place: Place) -> None:
        """A chunk that isn't leased appeared at `place`."""
        self.floor = min(self.floor, place)


class Inventory:
    """Counts a destination, and which chunks are leased or settled in part."""

    def __init__(self) -> None:
        self.destinations: dict[int, Stored] = {}
        self.leased: set[int] = set()
        self.partial: set[int] = set()
        """Chunks with a row in `done`."""
        self.shelf_bytes = 0
        self.fresh_due_ms = 0
        """The greatest due time of a fresh chunk: fresh chunks keep their order although wall time may jump back."""

    def of(self, destination_id: int) -> Stored:
        """Its counts; all zero at first."""
        stored = self.destinations.get(destination_id)
        if stored is None:
            stored = self.destinations[destination_id] = Stored()
        return stored

    def depth(self, destination_id: int) -> DestinationDepth:
        """Its counts, as the contract has them."""
        stored = self.destinations.get(destination_id) or Stored()
        return DestinationDepth(
            destination_id, stored.deliveries, stored.discarded, stored.dead, stored.pruned
        )

    def apply(self, writes: Writes) -> None:
        """Count what was committed."""
        for row in writes.fresh:
            stored = self.of(row.destination_id)
            stored.deliveries += row.deliveries
            stored.chunks += 1
            stored.leased += 1
            self.leased.add(row.id)
        for destination_id, count in (*writes.duplicates, *writes.settled):
            self.of(destination_id).deliveries -= count
        self.count_unleased(writes.retried)
        for moved in writes.moved:
            self.unlease(moved.destination_id, moved.id, moved.due_ms)
        self.partial.update(chunk_id for chunk_id, _ in writes.done)
        for chunk_id, destination_id in writes.ended:
            self.forget_chunk(destination_id, chunk_id)
        for shelved in (*writes.shelved, *writes.overflowed):
            self.count_shelved(shelved.destination_id, shelved.kind, shelved.deliveries, shelved.size_bytes)

    def count_unleased(self, rows: Iterable[ChunkRow]) -> None:
        """Chunks appeared that nobody has leased."""
        for row in rows:
            stored = self.of(row.destination_id)
            stored.deliveries += row.deliveries
            stored.chunks += 1
            stored.lower_floor((row.due_ms, row.id))

    def take(self, destination_id: int, chunk_id: int) -> None:
        """A chunk was leased."""
        self.of(destination_id).leased += 1
        self.leased.add(chunk_id)

    def unlease(self, destination_id: int, chunk_id: int, due_ms: int) -> None:
        """A leased chunk waits again, at `due_ms`."""
        if chunk_id in self.leased:
            self.leased.remove(chunk_id)
            stored = self.of(destination_id)
            stored.leased -= 1
            stored.lower_floor((due_ms, chunk_id))

    def forget_chunk(self, destination_id: int, chunk_id: int) -> None:
        """A chunk's row is gone; its deliveries were counted as settled."""
        stored = self.of(destination_id)
        stored.chunks -= 1
        if chunk_id in self.leased:
            self.leased.remove(chunk_id)
            stored.leased -= 1
        self.partial.discard(chunk_id)

    def forget_destination(self, destination_id: int) -> None:
        """Nothing is stored of it any more."""
        self.destinations.pop(destination_id, None)

    def count_pruned(self, entry: Pruned) -> None:
        """An entry left the shelf for its bounds."""
        self.count_shelved(entry.destination_id, entry.kind, -entry.deliveries, -entry.size_bytes)
        self.of(entry.destination_id).pruned += entry.deliveries

    def count_shelved(self, destination_id: int, kind: str, count: int, size: int) -> None:
        """Deliveries came to the shelf, or left it if `count` and `size` are negative."""
        stored = self.of(destination_id)
        if kind == "dead":
            stored.dead += count
        else:
            stored.discarded += count
        self.shelf_bytes += size

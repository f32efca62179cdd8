"""The shelf kept within its age and size: a step after each of the writer's turns, so that it delays nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.journal import shelf
from engine.journal.store import TRANSIENT

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.journal.inventory import Inventory
    from engine.journal.store import Store

PRUNE_EVERY_S: Final = 60.0


class Pruning:
    """Owner of when the shelf is looked at, and how far. Used by the writer's thread alone."""

    def __init__(
        self, store: Store, inventory: Inventory, *, clock: Clock, age_max_ms: int, bytes_max: int
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._clock = clock
        self._age_max_ms = age_max_ms
        self._bytes_max = bytes_max
        self._next_at = clock.monotonic() + PRUNE_EVERY_S
        self.is_behind = False
        """The last step left some that must go."""
        self.shelved = 0
        """Entries that came to the shelf since the last step: so many more may have to go."""

    def step(self) -> None:
        """Delete some of what is too old or too much, the oldest first, if it is time."""
        now = self._clock.monotonic()
        bytes_over = self._inventory.shelf_bytes - self._bytes_max
        if now < self._next_at and bytes_over <= 0 and not self.is_behind:
            return
        before_ms = self._clock.now_ms() - self._age_max_ms
        rows_max, self.shelved = shelf.STEP_ROWS + 2 * self.shelved, 0
        ids, pruned = shelf.oldest(
            self._store.db, before_ms=before_ms, bytes_over=bytes_over, rows_max=rows_max
        )
        try:
            with self._store.transaction():
                shelf.delete(self._store.db, ids)
        except TRANSIENT:
            ids, pruned = [], []  # it can wait for the next time
        for entry in pruned:
            self._inventory.count_pruned(entry)
        self.is_behind = len(ids) == rows_max
        if not self.is_behind:
            self._next_at = now + PRUNE_EVERY_S

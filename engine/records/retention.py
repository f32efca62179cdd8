"""What is kept, and for how long: by age, by size of one destination, by size of all. The oldest go first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.records import spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.records.store import Store

FULL_SHARE: Final = 0.9
"""Of the file's size: beyond it records are deleted, so that new ones find room."""
STEP_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long records are kept."""

    minute_hours: int = 48
    hour_days: int = 60
    day_days: int = 730
    attempt_days: int = 7
    destination_mib: int = 64
    """Of attempts of one destination."""
    size_max_mib: int = 1_024
    """Of the file: attempts go before minutes; hours and days are kept."""

    @property
    def destination_bytes(self) -> int:
        """Of attempts of one destination."""
        return self.destination_mib << 20

    @property
    def full_bytes(self) -> int:
        """What may be in use of the file."""
        return int((self.size_max_mib << 20) * FULL_SHARE)


def is_over(store: Store, bounds: Bounds) -> bool:
    """Some size is exceeded."""
    return store.used_bytes > bounds.full_bytes or any(
        each.bytes > bounds.destination_bytes for each in store.kept.values()
    )


def steps(store: Store, bounds: Bounds, now_ms: int, forgotten: list[int]) -> Iterator[list[int]]:
    """Delete until every bound holds, and nothing is left of destinations that are gone; a little at each step.

    Yields the destination ids of the attempts that went. Takes out of `forgotten` what is done.
    """
    while forgotten:
        while gone := store.delete_oldest(forgotten[0]):
            yield gone
        store.delete_counters(forgotten.pop(0))
    now_s = now_ms // 1000
    store.delete_before(spans.MINUTE, now_s - bounds.minute_hours * spans.HOUR)
    store.delete_before(spans.HOUR, now_s - bounds.hour_days * spans.DAY)
    store.delete_before(spans.DAY, now_s - bounds.day_days * spans.DAY)
    while gone := store.delete_oldest(before_ms=now_ms - bounds.attempt_days * spans.DAY * 1000):
        yield gone
    for destination_id in list(store.kept):
        while (over := store.kept[destination_id].bytes - bounds.destination_bytes) > 0:
            yield store.delete_oldest(destination_id, bytes_over=over)
    while (over := store.used_bytes - bounds.full_bytes) > 0:
        gone = store.delete_oldest(bytes_over=max(over, STEP_BYTES))
        if not gone and not store.delete_oldest_hour():
            return
        yield gone

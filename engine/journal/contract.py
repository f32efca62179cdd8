"""What a journal promises. `tests/contracts/test_journal.py` is the suite that every implementation passes.

What was appended is durable before `append` returns, and is leased again after a crash until it is settled. A
lease belongs to the process that took it: it isn't stored, and ends with the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model import Chunk, Lease, Part


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """Deliveries that are dead or discarded, with what is needed to look at and replay them."""

    id: int
    destination_id: int
    kind: str
    """`dead` or `discarded`."""
    code: str
    shelved_ms: int
    chunk: Chunk
    detail: bytes


@dataclass(frozen=True, slots=True)
class DestinationDepth:
    """What the journal holds of one destination."""

    destination_id: int
    stored: int
    """Deliveries stored: waiting, ready or leased."""
    shelved_discarded: int
    shelved_dead: int


@dataclass(frozen=True, slots=True)
class JournalStats:
    """What the journal holds and has done since it was opened."""

    destinations: tuple[DestinationDepth, ...]
    file_bytes: int
    commits: int
    appended: int
    settled: int
    writable: bool
    """False while a commit fails; what was accepted stays, appends are refused."""


class Journal(Protocol):
    """One transaction an `append` and a `settle`, several of them a commit."""

    @property
    def is_writable(self) -> bool:
        """False while a commit fails; nothing is handed out then."""

    async def append(self, chunks: Sequence[Chunk]) -> list[Lease]:
        """Store all or none; return a lease of each once it is durable. Raises `JournalFull`."""

    def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back unsettled: their chunks are leased again in their order (memory was short)."""

    async def lease(
        self, destination_id: int, now_ms: int, *, chunks_max: int, bytes_max: int
    ) -> list[Lease]:
        """Take the oldest due chunks, by due time then age; at least one if any is due and not leased."""

    async def settle(self, settlements: Sequence[tuple[Lease, Sequence[Part]]]) -> None:
        """Write what ended, several leases in one transaction. Clears the bits of `remaining`.

        A part whose bits are already clear is refused with `ValueError` (a late result never overwrites). If the
        write fails it is held and tried again until it succeeds; `settle` returns then. `stats().writable` is False meanwhile.
        """

    async def next_due(self, destination_id: int | None = None) -> dict[int, int]:
        """Destination → the due time (ms) of its oldest chunk that isn't leased."""

    async def shelf(
        self, destination_id: int, *, limit: int = 100, kind: str | None = None
    ) -> list[ShelfEntry]:
        """The newest entries first."""

    async def discard(self, destination_id: int) -> int:
        """Delete everything stored of a destination that was removed, its shelf too; return the number of deliveries."""

    async def depth(self, destination_id: int) -> DestinationDepth:
        """What is stored of one destination."""

    async def stats(self) -> JournalStats:
        """What is stored of all."""

    async def close(self) -> None:
        """Commit what is pending, checkpoint, close the file."""

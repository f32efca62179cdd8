"""What a journal promises. `tests/contracts/test_journal.py` is the suite that every implementation passes.

What was appended is durable before `append` returns, and is leased again after a crash until it is settled. A
lease belongs to the process that took it: it isn't stored, and ends with the process.

The journal keeps a chunk's time of acceptance and never changes it, but for a replay, which accepts anew. Whoever
stops a destination's clock (a pause, a quarantine) keeps account of it and subtracts it from the age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.metrics import Buckets
    from engine.model import Chunk, Lease, Part
    from sandbox.wire import Events

STATES: Final = ("waiting", "running", "dead", "discarded", "shelved")
"""Where a delivery can be found; `shelved` is dead or discarded, `running` is leased: in memory or in a worker."""
SHELF_STATES: Final = ("dead", "discarded", "shelved")

DeliveryId = tuple[int, int]
"""Chunk and index at acceptance; written `CHUNK.INDEX`. It never changes, through retries, shelf and replay."""
Cursor = tuple[int, ...]
"""Where a query goes on. Only the journal that made it reads it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries of a destination: those for which everything holds that is set."""

    code: str | None = None
    """How the last attempt ended."""
    since_ms: int | None = None
    """Shelved, or accepted where it isn't shelved, at this time or later."""
    until_ms: int | None = None
    """Before this time."""
    delivery: DeliveryId | None = None


EVERYTHING: Final = Filter()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A stored delivery, as it is looked at."""

    id: DeliveryId
    destination_id: int
    state: str
    """`waiting`, `running`, `dead` or `discarded`."""
    code: str
    """How the last attempt ended; empty before the first has."""
    attempt: int
    """The one it is in or waits for; on the shelf the one that ended it, 0 if there was none (overflow)."""
    accepted_ms: int
    at_ms: int
    """When it is due; on the shelf, when it came there."""
    event: Events
    """Columns of one event."""
    detail: bytes = b""
    """On the shelf: what `sandbox.wire.Detail` packs; empty where nothing was kept."""


@dataclass(frozen=True, slots=True)
class Page:
    """Deliveries, and where to go on; there may be no deliveries and yet more to come."""

    deliveries: tuple[Delivery, ...]
    cursor: Cursor | None
    """None at the end."""


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """What one call of `replay` has done; None as `cursor` when it is the last."""

    deliveries: int
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class Claim:
    """Events of a chunk that count only if their message ids are new to a scope."""

    chunk: int
    """Its place in what is appended."""
    start: int
    stop: int
    """Of the chunk's events."""
    scope: int
    """What ids are unique in: a number that is never used for anything else."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where events of a `SharedClaim` stand in one chunk, one after the other."""

    chunk: int
    """Its place in what is appended."""
    start: int
    events: Sequence[int]
    """Which of the claim's ids they have; rising."""


@dataclass(frozen=True, slots=True)
class SharedClaim:
    """Events that go to several destinations, and count only if their message ids are new to a scope: all copies or none."""

    scope: int
    """As of `Claim`."""
    message_ids: Sequence[str]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class DestinationDepth:
    """What the journal holds of one destination."""

    destination_id: int
    stored: int
    """Deliveries stored: waiting, ready or leased."""
    shelved_discarded: int
    shelved_dead: int
    pruned: int = 0
    """Deliveries that the shelf has lost to age or size since the journal was opened."""


@dataclass(frozen=True, slots=True)
class JournalStats:
    """What the journal holds and has done since it was opened."""

    destinations: tuple[DestinationDepth, ...]
    file_bytes: int
    commits: int
    appended: int
    settled: int
    duplicates: int
    writable: bool
    """False while a commit fails; what was accepted stays, appends are refused."""
    commit_s: Buckets
    """How long commits took. It goes on counting."""
    commit_bytes: Buckets
    """What they wrote of events and their ends."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """What of a destination has failed and is stored to be tried again, or is being tried again."""

    deliveries: int
    first_accepted_ms: int
    """Of the one that was accepted first, and so is the first to be given up."""
    last_accepted_ms: int
    is_all: bool
    """False if there are more than were looked at: those that were accepted first."""


class Journal(Protocol):
    """One transaction an `append`, a `settle` and a `replay`, several of them a commit."""

    @property
    def is_writable(self) -> bool:
        """False while a commit fails; nothing is handed out then."""

    async def append(
        self,
        chunks: Sequence[Chunk],
        *,
        claims: Sequence[Claim | SharedClaim] = (),
        overflowed: Sequence[Chunk] = (),
        writing: Callable[[], None] | None = None,
    ) -> list[Lease]:
        """Store all or none; return a lease of each of `chunks` once it is durable. Raises `JournalFull`.

        Of what `claims` names, an event whose message id was appended under its scope before (within the journal's
        window of time and space, in this append too) is a duplicate: it isn't stored, and its bit of `remaining` is
        clear. A lease without remaining bits is over. Events without a message id are no duplicates.

        `overflowed` goes straight to the shelf, as dead with code `overflow`.

        `writing` is called soon after what is new goes to the disk: whoever will need it can get ready meanwhile. It may still fail.
        """

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

    async def find(self, destination_id: int, delivery: DeliveryId) -> Delivery | None:
        """One delivery, wherever it is; None if it isn't stored: it was delivered, counted, pruned, or never was."""

    async def deliveries(
        self,
        destination_id: int,
        state: str,
        where: Filter = EVERYTHING,
        *,
        limit: int = 100,
        cursor: Cursor | None = None,
    ) -> Page:
        """Up to `limit` deliveries in one of `STATES`: the newest on the shelf first, waiting ones by due time.

        A call looks at a bounded number of entries, so that it delays nobody: a page may be short, or empty, before
        the end. What changes between two pages may be missed or seen twice.
        """

    async def replay(
        self,
        destination_id: int,
        state: str = "shelved",
        where: Filter = EVERYTHING,
        *,
        limit: int = 1_000,
        cursor: Cursor | None = None,
        dry_run: bool = False,
    ) -> ReplayStep:
        """Move up to `limit` shelved deliveries back into the queue, the oldest first, in one transaction.

        They keep their names and begin anew: attempt 1, accepted now (the time for retries starts again), due at
        once, unleased. What ran alone, as a suspect of a crash, does so again. An entry that was moved is gone from
        the shelf, so that nothing is replayed twice; no duplicates are looked for. With `dry_run` nothing changes,
        and the count is of what would be moved. Raises `JournalFull`, and then nothing has changed.
        """

    async def discard(self, destination_id: int) -> int:
        """Delete everything stored of a destination that was removed, its shelf too; return the number of deliveries."""

    async def retrying(self, destination_id: int) -> Retrying | None:
        """What is to be tried again, as far as a bounded number of chunks tells; None if nothing is."""

    async def depth(self, destination_id: int) -> DestinationDepth:
        """What is stored of one destination."""

    async def stats(self) -> JournalStats:
        """What is stored of all."""

    async def close(self) -> None:
        """Commit what is pending, checkpoint, close the file."""

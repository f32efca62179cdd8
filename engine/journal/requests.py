"""What the writer's thread can be asked for, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from engine.journal.contract import Claim, SharedClaim
    from engine.journal.rows import Writes
    from engine.model import Lease


@dataclass(slots=True, eq=False)
class Append:
    """Answered by its leases."""

    future: asyncio.Future[Any]
    writes: Writes
    leases: list[Lease]
    claims: Sequence[Claim | SharedClaim]
    writing: Callable[[], None] | None
    """Called in the writer's thread, once it is known to have events that are new, before they go to the disk."""


@dataclass(slots=True, eq=False)
class Settle:
    """Answered when it is durable."""

    future: asyncio.Future[Any]
    writes: Writes


@dataclass(slots=True, eq=False)
class Read:
    """Answered by what `read` returns."""

    future: asyncio.Future[Any]
    read: Callable[[], Any]
    while_held: Any = None
    """The answer while settles are held, when what is stored isn't what has ended; None: read all the same."""


@dataclass(slots=True, eq=False)
class Change:
    """Answered by what `change` returns, which is a transaction of its own and is refused while the disk is full."""

    future: asyncio.Future[Any]
    change: Callable[[], Any]


@dataclass(slots=True, eq=False)
class Release:
    """Not answered."""

    leases: Sequence[Lease]


@dataclass(slots=True, eq=False)
class Discard:
    """Answered by the number of deliveries that were deleted, when the last is gone."""

    future: asyncio.Future[Any]
    destination_id: int
    deliveries: int = -1


@dataclass(slots=True, eq=False)
class Close:
    """Answered when the file is closed. The last request."""

    future: asyncio.Future[Any]


Request = Append | Settle | Read | Change | Release | Discard | Close
Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]

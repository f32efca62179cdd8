"""Submits that arrive together become few chunks, and one transaction.

A hundred clients that submit one event each in the same turn of the loop cost one row and one commit; each is told
when its own events are durable. What a source submits has a part for each destination; all are stored or none.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.dispatch import admission
from engine.errors import EngineError, NotFound, Unavailable
from engine.events import split_chunks
from engine.journal.contract import Claim, Place, SharedClaim
from engine.model import OVERFLOW, Chunk
from engine.records.spans import DUPLICATES
from sandbox.wire import CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, MIB, Events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.clock import Clock
    from engine.dispatch.dispatcher import Dispatcher
    from engine.dispatch.lane import Lane
    from engine.dispatch.tally import Tally
    from engine.journal.contract import Journal
    from engine.model import Lease

UNCOMMITTED_BYTES_MAX: Final = 32 * MIB
"""Beyond it clients are not read from until a commit is through."""


@dataclass(slots=True)
class Portion:
    """What one destination gets of a submit."""

    lane: Lane
    events: Events
    places: Sequence[int] = ()
    """Of a source's submit: which of its events they are; rising."""


@dataclass(slots=True)
class Origin:
    """A source whose submit it is."""

    scope: int
    """What message ids are unique in."""
    message_ids: list[str]


@dataclass(slots=True)
class Submit:
    """One client's events on their way to the journal."""

    portions: list[Portion]
    acked: Callable[[EngineError | None, int], None]
    """Called with the number of duplicates, or with the reason why nothing was stored."""
    tally: Tally | None
    is_deduped: bool = True
    origin: Origin | None = None
    """None: it is addressed to the one destination of its only portion."""
    overflowed: list[Portion] = field(default_factory=list)
    """What a full destination has no room for, and the others of its source aren't to wait for."""
    duplicates: set[int] = field(default_factory=set)
    """Of a source's submit: which of its events are."""
    lost: int = 0
    """Deliveries that aren't stored: copies of duplicates, or for a destination that was removed meanwhile."""


class Share(NamedTuple):
    """Deliveries of a draft that are one submit's, from `start` up to `stop`."""

    start: int
    stop: int
    submit: Submit
    places: Sequence[int]


@dataclass(slots=True)
class Draft:
    """A chunk being made of several submits. Its shares are in order and without gaps."""

    lane: Lane
    parts: list[Events]
    count: int
    bytes: int
    shares: list[Share]


@dataclass(slots=True)
class Pending:
    """Submits of which the journal hasn't heard."""

    submits: list[Submit] = field(default_factory=list)
    bytes: int = 0
    events: int = 0

    def add(self, submit: Submit) -> int:
        """Take one more; its size in bytes."""
        size = 0
        for portion in submit.portions:
            size += len(portion.events.bodies)
            self.events += len(portion.events.sizes)
        self.submits.append(submit)
        self.bytes += size
        return size

    @property
    def fills_a_chunk(self) -> bool:
        """If it is all for one destination, more would not be joined to it."""
        return self.bytes >= CHUNK_BYTES_MAX or self.events >= CHUNK_EVENTS_MAX


class Stored(NamedTuple):
    """What the journal answered."""

    drafts: list[Draft]
    leases: list[Lease]
    """One for each draft."""
    error: EngineError | None
    """Why nothing was stored; then there are no drafts and no leases."""


class Intake:
    """Owner of what is submitted and not yet durable."""

    def __init__(
        self, *, journal: Journal, dispatcher: Dispatcher, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._clock = clock
        self._loop = loop
        self._pending = Pending()
        self._is_scheduled = False
        self._under_way = 0
        """Appends that the journal has not answered."""
        self._uncommitted_bytes = 0
        self._relief: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_closed = False

    @property
    def congested(self) -> bool:
        """More is waiting for a commit than should."""
        return self._uncommitted_bytes > UNCOMMITTED_BYTES_MAX

    async def relieved(self) -> None:
        """Wait until not `congested`."""
        while self.congested:
            if self._relief is None:
                self._relief = self._loop.create_future()
            await asyncio.shield(self._relief)

    def submit(self, submit: Submit) -> None:
        """Take it; `acked` is called once its events are durable, or with the reason why not."""
        if self.is_closed:
            raise Unavailable("the daemon is stopping", remedy="submit again when it runs")
        self._uncommitted_bytes += self._pending.add(submit)
        if not self._is_scheduled and (not self._under_way or self._pending.fills_a_chunk):
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Append what is pending. What comes while the disk is at work waits for it and is one append too: fewer and larger chunks."""
        self._is_scheduled = False
        if not self._pending.submits:
            return
        pending, self._pending = self._pending, Pending()
        self._under_way += 1
        task = self._loop.create_task(self._append(pending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _append(self, pending: Pending) -> None:
        try:
            submits = [submit for submit in pending.submits if _enter(submit) or await self._admit(submit)]
            stored = await self._store(submits)
        finally:
            self._under_way -= 1
            self._flush()  # the disk works on while these are answered
        self._tell(submits, stored)
        self._uncommitted_bytes -= pending.bytes
        if self._relief is not None and not self.congested:
            self._relief.set_result(None)
            self._relief = None

    async def _admit(self, submit: Submit) -> bool:
        """Whether there is room for it. A source's is always taken; what doesn't fit of it overflows."""
        portions, submit.portions = submit.portions, []
        for portion in portions:
            lane, count = portion.lane, len(portion.events.sizes)
            limit = lane.destination.limits.queue_events
            if lane.is_removed:
                if submit.origin is not None:
                    submit.lost += count
                    continue
                name = lane.destination.name
                submit.acked(
                    NotFound(f"{name!r} was removed meanwhile", remedy="deploy it again, and submit again"), 0
                )
                return False
            if limit:
                stored = lane.uncommitted_events + (await self._journal.depth(lane.destination.id)).stored
                room = admission.room(stored=stored, queue_events=limit)
                if count > room and submit.origin is None:
                    name, mean_us = lane.destination.name, lane.mean_us
                    refusal = admission.refusal(
                        name, stored=stored, count=count, queue_events=limit, mean_us=mean_us
                    )
                    submit.acked(refusal, 0)
                    return False
                if count > room:
                    fitting, rest = admission.divide(portion.events, room)
                    if rest is not None:
                        submit.overflowed.append(Portion(lane, rest))
                    if fitting is None:
                        continue
                    portion = Portion(lane, fitting, portion.places[:room])  # noqa: PLW2901  what is left of it
                    count = room
            lane.uncommitted_events += count
            submit.portions.append(portion)
        return True

    async def _store(self, submits: list[Submit]) -> Stored:
        drafts = draft_chunks(submits)
        now_ms = self._clock.now_ms()
        chunks = [
            Chunk(draft.lane.destination.id, Events.join(draft.parts), accepted_ms=now_ms, due_ms=now_ms)
            for draft in drafts
        ]
        overflowed = [
            Chunk(portion.lane.destination.id, events, accepted_ms=now_ms, due_ms=now_ms)
            for submit in submits
            for portion in submit.overflowed
            for events in split_chunks(portion.events)
        ]
        if not chunks and not overflowed:
            return Stored([], [], None)
        try:
            leases = await self._journal.append(
                chunks, claims=claims_of(drafts), overflowed=overflowed, writing=self._expected_by(drafts)
            )
        except EngineError as error:
            return Stored([], [], error)
        return Stored(drafts, leases, None)

    def _tell(self, submits: list[Submit], stored: Stored) -> None:
        """Acknowledge or refuse, and hand on what is to be delivered."""
        drafts, leases, error = stored
        for draft, lease in zip(drafts, leases, strict=True):
            count_duplicates(draft, lease.remaining)
            if missing := draft.count - lease.remaining.bit_count():
                draft.lane.record.count(DUPLICATES, missing)
        for submit in submits:
            self._answer(submit, error)
        for draft, lease in zip(drafts, leases, strict=True):
            if lease.remaining:
                waiters = [
                    (share.start, share.stop, share.submit.tally)
                    for share in draft.shares
                    if share.submit.tally
                ]
                self._dispatcher.accept(draft.lane, lease, waiters)

    def _expected_by(self, drafts: list[Draft]) -> Callable[[], None] | None:
        """Gets workers ready for those that have none, while the disk is at work."""
        cold = [draft.lane for draft in drafts if draft.lane.is_cold]
        return (lambda: self._dispatcher.expect(cold)) if cold else None

    def _answer(self, submit: Submit, error: EngineError | None) -> None:
        for portion in submit.portions:
            portion.lane.uncommitted_events -= len(portion.events.sizes)
        submit.acked(error, len(submit.duplicates) if submit.origin is not None else submit.lost)
        if error is not None:
            return
        for portion in submit.overflowed:
            count = len(portion.events.sizes)
            portion.lane.record.count(OVERFLOW, count)
            portion.lane.record.count_verdict("dead", count)
            if submit.tally is not None:
                submit.tally.add("dead", OVERFLOW, count)
        if submit.tally is not None:
            submit.tally.expect_fewer(submit.lost)

    async def close(self) -> None:
        """Take nothing more; wait until what was taken is durable or refused."""
        self.is_closed = True
        self._flush()
        while self._tasks:
            await asyncio.wait(self._tasks)


def _enter(submit: Submit) -> bool:
    """All of its destinations are there and take any number: nothing is to be judged, and it is counted as on its way."""
    for portion in submit.portions:
        if portion.lane.is_removed or portion.lane.destination.limits.queue_events:
            return False
    for portion in submit.portions:
        portion.lane.uncommitted_events += len(portion.events.sizes)
    return True


def draft_chunks(submits: list[Submit]) -> list[Draft]:
    """Pure: cut large portions, join small ones to the same destination, keep each destination's order."""
    drafts: list[Draft] = []
    open_drafts: dict[int, Draft] = {}
    for submit in submits:
        for portion in submit.portions:
            destination_id, done = portion.lane.destination.id, 0
            for events in split_chunks(portion.events):
                count, size = len(events.sizes), len(events.bodies)
                draft = open_drafts.get(destination_id)
                if (
                    draft is None
                    or draft.count + count > CHUNK_EVENTS_MAX
                    or draft.bytes + size > CHUNK_BYTES_MAX
                ):
                    draft = open_drafts[destination_id] = Draft(portion.lane, [], 0, 0, [])
                    drafts.append(draft)
                draft.parts.append(events)
                places = portion.places[done : done + count]
                draft.shares.append(Share(draft.count, draft.count + count, submit, places))
                draft.count += count
                draft.bytes += size
                done += count
    return drafts


def claims_of(drafts: list[Draft]) -> list[Claim | SharedClaim]:
    """Pure: what must be new to its destination, neighbours as one claim; or to its source, all copies as one."""
    claims: list[Claim | SharedClaim] = []
    shared: dict[int, tuple[Origin, list[Place]]] = {}
    for number, draft in enumerate(drafts):
        destination_id = draft.lane.destination.id
        for is_direct, group in itertools.groupby(draft.shares, _is_claimed_here):
            shares = list(group)
            if is_direct:
                claims.append(Claim(number, shares[0].start, shares[-1].stop, destination_id))
                continue
            for share in shares:
                submit = share.submit
                if submit.origin is not None and submit.is_deduped:
                    _, places = shared.setdefault(id(submit), (submit.origin, []))
                    places.append(Place(number, share.start, share.places))
    for origin, places in shared.values():
        claims.append(SharedClaim(origin.scope, origin.message_ids, tuple(places)))
    return claims


def _is_claimed_here(share: Share) -> bool:
    return share.submit.is_deduped and share.submit.origin is None


def count_duplicates(draft: Draft, remaining: int) -> None:
    """Tell each submit which of its events aren't in `remaining`."""
    if remaining.bit_count() == draft.count:
        return
    for share in draft.shares:
        bits = remaining >> share.start & (1 << share.stop - share.start) - 1
        count = share.stop - share.start
        share.submit.lost += count - bits.bit_count()
        if share.places:
            share.submit.duplicates.update(
                place for offset, place in enumerate(share.places) if not bits >> offset & 1
            )

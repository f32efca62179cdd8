"""Submits that arrive together become few chunks, and one transaction.

A hundred clients that submit one event each in the same turn of the loop cost one row and one commit; each is told
when its own events are durable.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.dispatch import admission
from engine.errors import EngineError, NotFound, Unavailable
from engine.journal.contract import Claim
from engine.model import Chunk, split_chunks
from engine.records.spans import DUPLICATES
from sandbox.wire import CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, MIB, Events

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.dispatch.dispatcher import Dispatcher
    from engine.dispatch.lane import Lane
    from engine.dispatch.tally import Tally
    from engine.journal.contract import Journal

UNCOMMITTED_BYTES_MAX: Final = 32 * MIB
"""Beyond it clients are not read from until a commit is through."""


@dataclass(slots=True)
class Submit:
    """One client's events on their way to the journal."""

    lane: Lane
    events: Events
    acked: Callable[[EngineError | None, int], None]
    """Called with the number of duplicates, or with the reason why nothing was stored."""
    tally: Tally | None
    is_deduped: bool = True
    duplicates: int = 0


@dataclass(slots=True)
class Draft:
    """A chunk being made of several submits. `shares` are (start, stop, submit), in order and without gaps."""

    lane: Lane
    parts: list[Events]
    count: int
    bytes: int
    shares: list[tuple[int, int, Submit]]


class Intake:
    """Owner of what is submitted and not yet durable."""

    def __init__(
        self, *, journal: Journal, dispatcher: Dispatcher, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._clock = clock
        self._loop = loop
        self._pending: list[Submit] = []
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
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._uncommitted_bytes += len(submit.events.bodies)
        self._pending.append(submit)

    def _flush(self) -> None:
        submits, self._pending = self._pending, []
        task = self._loop.create_task(self._append(submits))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _append(self, submits: list[Submit]) -> None:
        size = sum(len(submit.events.bodies) for submit in submits)
        admitted = await self._admit(submits)
        await self._store(admitted)
        self._uncommitted_bytes -= size
        if self._relief is not None and not self.congested:
            self._relief.set_result(None)
            self._relief = None

    async def _admit(self, submits: list[Submit]) -> list[Submit]:
        """Those whose destination has room for them; the others are refused."""
        admitted = []
        for submit in submits:
            lane, count = submit.lane, len(submit.events.sizes)
            limit = lane.destination.limits.queue_events
            if lane.is_removed:
                gone = NotFound(
                    f"{lane.destination.name!r} was removed meanwhile",
                    remedy="deploy it again, and submit again",
                )
                submit.acked(gone, 0)
                continue
            if limit:
                stored = lane.uncommitted_events + (await self._journal.depth(lane.destination.id)).stored
                if count > admission.room(stored=stored, queue_events=limit):
                    name, mean_us = lane.destination.name, lane.mean_us
                    refusal = admission.refusal(
                        name, stored=stored, count=count, queue_events=limit, mean_us=mean_us
                    )
                    submit.acked(refusal, 0)
                    continue
            lane.uncommitted_events += count
            admitted.append(submit)
        return admitted

    async def _store(self, submits: list[Submit]) -> None:
        drafts = draft_chunks(submits)
        now_ms = self._clock.now_ms()
        chunks = [
            Chunk(draft.lane.destination.id, Events.join(draft.parts), accepted_ms=now_ms, due_ms=now_ms)
            for draft in drafts
        ]
        error: EngineError | None = None
        try:
            leases = await self._journal.append(chunks, claims=claims_of(drafts))
        except EngineError as failure:
            error, leases = failure, []
        for draft, lease in zip(drafts, leases, strict=False):
            count_duplicates(draft, lease.remaining)
        for submit in submits:
            submit.lane.uncommitted_events -= len(submit.events.sizes)
            submit.acked(error, submit.duplicates)
            if submit.duplicates:
                submit.lane.record.count(DUPLICATES, submit.duplicates)
            if submit.tally is not None and error is None:
                submit.tally.expect_fewer(submit.duplicates)
        for draft, lease in zip(drafts, leases, strict=False):
            if lease.remaining:
                waiters = [(start, stop, of.tally) for start, stop, of in draft.shares if of.tally]
                self._dispatcher.accept(draft.lane, lease, waiters)

    async def close(self) -> None:
        """Take nothing more; wait until what was taken is durable or refused."""
        self.is_closed = True
        await asyncio.sleep(0)
        if self._tasks:
            await asyncio.wait(self._tasks)


def draft_chunks(submits: list[Submit]) -> list[Draft]:
    """Pure: cut large submits, join small ones to the same destination, keep each destination's order."""
    drafts: list[Draft] = []
    open_drafts: dict[int, Draft] = {}
    for submit in submits:
        for events in split_chunks(submit.events):
            count, size = len(events.sizes), len(events.bodies)
            draft = open_drafts.get(submit.lane.destination.id)
            if (
                draft is None
                or draft.count + count > CHUNK_EVENTS_MAX
                or draft.bytes + size > CHUNK_BYTES_MAX
            ):
                draft = Draft(submit.lane, [], 0, 0, [])
                open_drafts[submit.lane.destination.id] = draft
                drafts.append(draft)
            draft.parts.append(events)
            draft.shares.append((draft.count, draft.count + count, submit))
            draft.count += count
            draft.bytes += size
    return drafts


def claims_of(drafts: list[Draft]) -> list[Claim]:
    """Pure: what must be new to its destination, neighbours as one claim."""
    claims: list[Claim] = []
    for number, draft in enumerate(drafts):
        destination_id = draft.lane.destination.id
        for is_deduped, group in itertools.groupby(draft.shares, lambda share: share[2].is_deduped):
            if is_deduped:
                shares = list(group)
                claims.append(Claim(number, shares[0][0], shares[-1][1], destination_id))
    return claims


def count_duplicates(draft: Draft, remaining: int) -> None:
    """Tell each submit how many of its events aren't in `remaining`."""
    if remaining.bit_count() < draft.count:
        for start, stop, submit in draft.shares:
            bits = remaining >> start & (1 << stop - start) - 1
            submit.duplicates += stop - start - bits.bit_count()

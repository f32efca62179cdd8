"""Outcomes → the journal: collect those of a chunk, classify, settle with everything else that ends in this turn.

    delivered, failed ─► Work ─► finish ─► parts ─► journal.settle ─► backlog.wake (retries)

Costs go with frames: a frame of a hundred delivered events is one range, one mask and one settlement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.dispatch import retrying
from engine.model import OUTCOMES, Part
from engine.records.attempts import Attempt

if TYPE_CHECKING:
    import asyncio
    import random
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.dispatch.backlog import Backlog
    from engine.dispatch.lane import Lane, Work
    from engine.dispatch.tasks import Tasks
    from engine.journal.contract import Journal
    from engine.model import Lease

SETTLE_AFTER_S: Final = 0.25
"""A chunk whose last deliveries are slow is settled in parts after this long."""


class Settler:
    """Owner of outcomes that aren't settled yet."""

    def __init__(
        self,
        *,
        lanes: dict[int, Lane],
        journal: Journal,
        backlog: Backlog,
        tasks: Tasks,
        clock: Clock,
        rng: random.Random,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._lanes = lanes
        self._journal = journal
        self._backlog = backlog
        self._tasks = tasks
        self._clock = clock
        self._rng = rng
        self._loop = loop
        self._unsettled: dict[int, Work] = {}
        self._finished: list[Work] = []

    # --- One attempt ended

    def delivered(self, work: Work, start: int, count: int, now: float) -> None:
        """Consecutive deliveries of a chunk were delivered."""
        bits = ((1 << count) - 1) << start
        work.delivered |= bits
        work.lane.record.count("delivered", count, self._clock.now_ms() - work.lease.chunk.accepted_ms)
        if work.waiters:
            work.tell(start, count, "delivered", "delivered")
        self._resolve(work, bits, now)

    def ended(
        self, work: Work, place: int, code: str, *, after_ms: int = 0, detail: bytes, now: float
    ) -> None:
        """One delivery of a chunk ended otherwise, or its attempt is to be shown to somebody."""
        if code == "delivered":
            work.delivered |= 1 << place
            kind = "delivered"
        else:
            work.failed.setdefault((code, after_ms), []).append((place, detail))
            kind = self._verdict(work, code, after_ms).kind
        self._record(work, place, code, detail)
        if work.waiters:
            work.tell(place, 1, kind, code, detail)
        self._resolve(work, 1 << place, now)

    def _record(self, work: Work, place: int, code: str, detail: bytes) -> None:
        lease, record, now_ms = work.lease, work.lane.record, self._clock.now_ms()
        chunk = lease.chunk
        record.count(code, 1, now_ms - chunk.accepted_ms)
        record.add(
            Attempt(
                now_ms,
                chunk.destination_id,
                lease.delivery_id(place),
                chunk.events.types[place],
                chunk.attempt,
                code,
                detail,
            )
        )

    def _resolve(self, work: Work, bits: int, now: float) -> None:
        work.unresolved &= ~bits
        if not work.unresolved:
            self._finish(work)
        elif not work.since:
            work.since = now
            self._unsettled[work.lease.id] = work

    def _verdict(self, work: Work, code: str, after_ms: int) -> retrying.Verdict:
        lane, chunk, now_ms = work.lane, work.lease.chunk, self._clock.now_ms()
        return retrying.decide(
            code,
            attempt=chunk.attempt,
            age_ms=retrying.age_of(chunk.accepted_ms, now_ms, lane.stops),
            now_ms=now_ms,
            after_ms=after_ms,
            limits=lane.destination.limits,
            rng=self._rng,
        )

    # --- Chunks, whole or in part

    def settle_slow(self, now: float) -> None:
        """Settle in parts what waits for slow siblings."""
        for work in list(self._unsettled.values()):
            if now - work.since > SETTLE_AFTER_S:
                self._finish(work)

    def settle_all(self) -> None:
        """Settle in parts whatever has an outcome."""
        for work in list(self._unsettled.values()):
            self._finish(work)

    def _finish(self, work: Work) -> None:
        """Settle what has ended of it, with everything else that ends in this turn of the loop."""
        work.since = 0.0
        self._unsettled.pop(work.lease.id, None)
        if not self._finished:
            self._loop.call_soon(self._settle_finished)
        self._finished.append(work)

    def _settle_finished(self) -> None:
        # One that was finished in part and then as a whole, in the same turn, is there twice.
        finished, self._finished = dict.fromkeys(self._finished), []
        settlements = [(work.lease, parts) for work in finished if (parts := self._parts(work))]
        self._tasks.spawn(self._settle(settlements, [work for work in finished if not work.unresolved]))

    async def _settle(
        self, settlements: Sequence[tuple[Lease, Sequence[Part]]], complete: list[Work]
    ) -> None:
        await self._journal.settle(settlements)
        for work in complete:
            self._backlog.let_go(work.lane, len(work.lease.chunk.events.bodies))
        for lease, parts in settlements:
            dues = [part.due_ms for part in parts if part.kind == "retry"]
            lane = self._lanes.get(lease.chunk.destination_id)
            if dues and lane is not None:
                self._backlog.wake(lane, min(dues))

    def _parts(self, work: Work) -> list[Part]:
        """What ended of a chunk as parts: one of the delivered, and one a code and wish, with one due time each."""
        parts = []
        if work.delivered:
            mask, work.delivered = work.delivered, 0
            parts.append(Part(_places(mask), "delivered"))
        failed, work.failed = work.failed, {}
        for (code, after_ms), entries in failed.items():
            verdict = self._verdict(work, code, after_ms)
            work.lane.record.count_verdict(verdict.kind, len(entries))
            parts.append(
                Part(
                    tuple(place for place, _ in entries),
                    verdict.kind,
                    code,
                    verdict.due_ms,
                    work.lease.chunk.attempt + 1,
                    alone=OUTCOMES[code].runs_alone,
                    details=() if verdict.kind == "counted" else tuple(detail for _, detail in entries),
                )
            )
        return parts


def _places(mask: int) -> tuple[int, ...]:
    """Places of the bits that are set."""
    if mask & (mask + 1) == 0:
        return tuple(range(mask.bit_length()))
    return tuple(at for at in range(mask.bit_length()) if mask >> at & 1)

"""What is in memory and what stays on disk: fresh chunks while there is room, then leases, oldest first, when due.

accept(fresh lease) ─► lane.ready            room, and nothing older on disk
                 └──► journal.release        else; new chunks queue behind it there
wake(due) ─► timer ─► journal.lease ─► lane.ready
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.dispatch import scheduling
from engine.dispatch.lane import Work
from engine.dispatch.states import WORKING
from sandbox import wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.dispatch.lane import Lane
    from engine.dispatch.tally import Tally
    from engine.dispatch.tasks import Tasks
    from engine.journal.contract import Journal
    from engine.model import Lease

LEASE_BYTES: Final = 2 * wire.MIB
"""Little at a time: the journal's thread reads it between two commits, and others' submits wait meanwhile."""
LOOK_AGAIN_S: Final = 60.0
"""A clock that jumps must not make a wait endless."""


class Backlog:
    """Owner of the memory that waiting events take."""

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
    ) -> None:
        self.held_bytes = 0
        self.held_bytes_max = 64 * wire.MIB
        self.lease_chunks = 16
        """Read from disk at a time, and no more than `LEASE_BYTES`."""
        self.is_closed = False
        """Nothing more is leased."""
        self.on_ready: Callable[[Lane], None] = lambda _lane: None
        """Called when a lane has got work."""
        self._journal = journal
        self._clock = clock
        self._loop = loop
        self._tasks = tasks

    def accept(self, lane: Lane, lease: Lease, waiters: list[tuple[int, int, Tally]]) -> None:
        """Take a chunk that has just become durable; keep it in memory if there is room and nothing older on disk."""
        size = len(lease.chunk.events.bodies)
        if (
            lane.has_backlog
            or self.held_bytes + size > self.held_bytes_max
            or lane.state not in WORKING
            or self.is_closed
        ):
            self._release(lane, lease, waiters)
        else:
            self._queue(lane, lease, waiters)
        self.on_ready(lane)

    def _queue(self, lane: Lane, lease: Lease, waiters: list[tuple[int, int, Tally]]) -> None:
        size = len(lease.chunk.events.bodies)
        self.held_bytes += size
        lane.held_bytes += size
        work = Work(lane, lease, lease.remaining, waiters=waiters, queued_at=self._clock.monotonic())
        lane.queue(work)

    def _release(self, lane: Lane, lease: Lease, waiters: list[tuple[int, int, Tally]]) -> None:
        self._journal.release([lease])
        if waiters and not lane.is_removed:
            lane.waiters[lease.id] = waiters
        lane.has_backlog, lane.backlog_turn = True, lane.backlog_turn + 1

    def spill(self, lane: Lane) -> None:
        """A lane that isn't worked on takes no memory: give back the chunks of which nothing runs or waits to be settled."""
        if lane.state in WORKING:
            return
        ready: dict[Work, int] = {}
        for run in (*lane.ready, *lane.suspects):
            ready[run.owner] = ready.get(run.owner, 0) | ((1 << len(run)) - 1) << run.start
        spilled = {work for work, bits in ready.items() if bits == work.lease.remaining}
        for work in ready:  # in their order
            if work in spilled:
                self.let_go(lane, len(work.lease.chunk.events.bodies))
                self._release(lane, work.lease, work.waiters)
        lane.drop(spilled)

    def let_go(self, lane: Lane, size_bytes: int) -> None:
        """So many bytes of its events are settled."""
        if not lane.is_removed:
            self.held_bytes -= size_bytes
            lane.held_bytes -= size_bytes

    def forget(self, lane: Lane) -> None:
        """A destination is removed: nothing of it is held any more."""
        self.held_bytes -= lane.held_bytes
        lane.held_bytes = 0
        if lane.due_timer:
            lane.due_timer.cancel()

    def wake(self, lane: Lane, due_ms: int) -> None:
        """The journal has a chunk of this destination that is due at `due_ms`."""
        now_ms = self._clock.now_ms()
        if due_ms <= now_ms:
            lane.has_backlog, lane.backlog_turn = True, lane.backlog_turn + 1
            self._lease_more(lane)
        elif lane.due_at_ms is None or due_ms < lane.due_at_ms:
            if lane.due_timer:
                lane.due_timer.cancel()
            lane.due_at_ms = due_ms
            pause_s = min((due_ms - now_ms) / 1000, LOOK_AGAIN_S)
            lane.due_timer = self._loop.call_later(pause_s, self._due, lane)

    def _due(self, lane: Lane) -> None:
        due_ms, lane.due_at_ms, lane.due_timer = lane.due_at_ms, None, None
        if due_ms is not None and not lane.is_removed:
            if due_ms > self._clock.now_ms():
                self.wake(lane, due_ms)
            else:
                self._lease_more(lane, is_due=True)

    def top_up(self, lane: Lane) -> None:
        """Lease more if there is more on disk and little is left in memory."""
        if lane.has_backlog and lane.ready_events < scheduling.EVENTS_IN_FLIGHT_MAX // 2:
            self._lease_more(lane)

    def _lease_more(self, lane: Lane, *, is_due: bool = False) -> None:
        is_short = lane.ready_events < scheduling.EVENTS_IN_FLIGHT_MAX
        if lane.is_leasing or self.is_closed or lane.state not in WORKING or not (is_short or is_due):
            return
        if self.held_bytes >= self.held_bytes_max and lane.ready:
            return
        lane.is_leasing = True
        self._tasks.spawn(self._lease(lane))

    async def _lease(self, lane: Lane) -> None:
        turn, asked = lane.backlog_turn, self.lease_chunks
        try:
            leases = await self._journal.lease(
                lane.destination.id, self._clock.now_ms(), chunks_max=asked, bytes_max=LEASE_BYTES
            )
            if lane.state not in WORKING:
                self._journal.release(leases)
                return
            for lease in leases:
                self._queue(lane, lease, lane.waiters.pop(lease.id, []))
            if len(leases) < asked:
                due_ms = (await self._journal.next_due(lane.destination.id)).get(lane.destination.id)
                if not self._journal.is_writable:
                    pass  # it answers nothing while outcomes are held: what is there is asked for again
                elif due_ms is None or due_ms > self._clock.now_ms():
                    lane.has_backlog = lane.has_backlog and turn != lane.backlog_turn
                    if due_ms is not None:
                        self.wake(lane, due_ms)
                else:
                    lane.has_backlog = True
        finally:
            lane.is_leasing = False
            self.on_ready(lane)

"""Whether a destination's events are handed to workers: by hand, after an attack, and by the circuit breaker.

reports ─► count ─► breaker.after ─► open ─► timer ─► probing ─► …
operator ─► pause, resume             attack ─► quarantine
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from engine.dispatch import breaker
from engine.dispatch.states import STOPPED_BY_HAND, LaneState

if TYPE_CHECKING:
    import asyncio
    import random
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.dispatch.backlog import Backlog
    from engine.dispatch.lane import Lane

log = structlog.get_logger()


class Gate:
    """Owner of the lanes' states."""

    def __init__(
        self, *, backlog: Backlog, clock: Clock, rng: random.Random, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.on_open: Callable[[Lane], None] = lambda _lane: None
        """Called when a lane may be given work again."""
        self.on_quarantined: Callable[[Lane], None] = lambda _lane: None
        """Called so that it is kept."""
        self._backlog = backlog
        self._clock = clock
        self._rng = rng
        self._loop = loop

    # --- By hand

    def pause(self, lane: Lane) -> None:
        """Hand nothing more out; what runs ends as ever."""
        self._become(lane, LaneState.PAUSED)

    def quarantine(self, lane: Lane) -> None:
        """Its code left the sandbox, or tried to."""
        if lane.state not in {LaneState.QUARANTINED, LaneState.REMOVED}:
            self._become(lane, LaneState.QUARANTINED)
            self.on_quarantined(lane)

    def resume(self, lane: Lane) -> None:
        """Whatever stopped it: hand out again, without bounds."""
        lane.breaker = breaker.CLOSED
        lane.deaths, lane.not_before = 0, 0.0
        self._become(lane, LaneState.RUNNING)
        self.on_open(lane)

    def deploy(self, lane: Lane) -> None:
        """New code, or new settings: the breaker knows nothing of it. What a person stopped stays stopped."""
        lane.breaker = breaker.CLOSED
        if lane.state not in STOPPED_BY_HAND:
            self._become(lane, LaneState.RUNNING)

    def forget(self, lane: Lane) -> None:
        """It is removed."""
        self._become(lane, LaneState.REMOVED)

    # --- The circuit breaker

    def count(self, lane: Lane, *, failed: int, succeeded: int) -> None:
        """Invocations that ended together."""
        if not failed and lane.breaker is breaker.CLOSED and lane.state is LaneState.RUNNING:
            return
        state, lane.breaker = breaker.after(lane.state, lane.breaker, failed=failed, succeeded=succeeded)
        if state is LaneState.OPEN and lane.state is not LaneState.OPEN:
            self._open(lane)
        elif state is not lane.state:
            log.info("breaker_closed", destination=lane.destination.name)
            self._become(lane, state)

    def _open(self, lane: Lane) -> None:
        self._become(lane, LaneState.OPEN)
        pause_ms = breaker.probe_after_ms(lane.breaker, self._rng)
        log.warning("breaker_open", destination=lane.destination.name, probe_after_ms=pause_ms)
        lane.probe_at_ms = self._clock.now_ms() + pause_ms
        lane.probe_timer = self._loop.call_later(pause_ms / 1000, self._probe, lane)

    def _probe(self, lane: Lane) -> None:
        lane.probe_timer = lane.probe_at_ms = None
        self._become(lane, LaneState.PROBING)
        self.on_open(lane)

    def _become(self, lane: Lane, state: LaneState) -> None:
        if lane.probe_timer is not None:
            lane.probe_timer.cancel()
            lane.probe_timer = lane.probe_at_ms = None
        lane.become(state)
        self._backlog.spill(lane)

"""What workers report: outcomes, which are settled, and deaths, for which a culprit is charged and the rest runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from engine.dispatch import scheduling
from engine.dispatch.states import LaneState
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.dispatch.assigning import Assigner
    from engine.dispatch.lane import Lane
    from engine.dispatch.settling import Settler
    from engine.model import Destination
    from engine.workers.worker import Death, Run, Worker

log = structlog.get_logger()

BACKOFF_S: Final = (0.0, 0.0, 0.0, 0.1, 0.5, 2.0, 10.0, 30.0)
"""Pause before another worker is bound, by how many died in a row."""
DEATHS_WITHOUT_CULPRIT_MAX: Final = 3


class Reports:
    """Listener of every worker that the assigner bound."""

    def __init__(self, *, assigner: Assigner, settler: Settler, clock: Clock) -> None:
        self.version_compiled: Callable[[Destination, bytes, str], None] = lambda *_: None
        self._assigner = assigner
        self._settler = settler
        self._clock = clock

    def loaded(self, worker: Worker, frame: wire.Loaded) -> None:
        """The module is loaded; code compiled anew is kept."""
        lane = self._assigner.lane_of[worker.id]
        if frame.code is not None:
            self.version_compiled(lane.destination, frame.code, self._assigner.policy_key)
        self._assigner.pump(lane)

    def refused(self, worker: Worker, frame: wire.Refused) -> None:
        """The module that once loaded doesn't any more: everything ready fails with `load_failed`."""
        self._assigner.lane_of[worker.id].load_error = frame.detail

    def ended(
        self,
        worker: Worker,
        delivered: list[tuple[Run, int, int]],
        failures: list[tuple[Run, int, wire.Failure]],
    ) -> None:
        """Outcomes: add them to their chunks, measure, top up."""
        lane = self._assigner.lane_of[worker.id]
        now = self._clock.monotonic()
        count = len(failures)
        for run, offset, number in delivered:
            count += number
            self._settler.delivered(run.owner, run.start + offset, number, now)
        for run, offset, row in failures:
            self._settler.ended(
                run.owner,
                run.start + offset,
                wire.OUTCOME_CODES[row.code],
                after_ms=row.after_ms,
                detail=row.detail,
                now=now,
            )
        if count:
            lane.mean_us = scheduling.mean_us(lane.mean_us, (now - worker.busy_since) * 1e6, count)
            lane.deaths = 0
        worker.busy_since = now
        self._assigner.pump(lane)

    def gone(self, worker: Worker, death: Death) -> None:
        """A worker ended: charge the culprit, run the rest again."""
        lane = self._assigner.lane_of.pop(worker.id)
        lane.workers.remove(worker)
        now = self._clock.monotonic()
        if death.reason not in {"stopped", "zygote"}:
            lane.deaths += 1
            lane.not_before = now + BACKOFF_S[min(lane.deaths, len(BACKOFF_S) - 1)]
            if death.is_attack and not lane.is_removed:
                lane.become(LaneState.QUARANTINED)
            log.warning(
                "worker_died", destination=lane.destination.name, reason=death.reason, why=death.explanation
            )
        if death.reason in {"refused", "load_failed"}:
            self._fail_load(lane, death, now)
        else:
            self._charge(lane, death, now)
        self._assigner.pump(lane)

    def _charge(self, lane: Lane, death: Death, now: float) -> None:
        culprits = death.culprits
        if (
            not culprits
            and death.held
            and death.reason != "zygote"
            and lane.deaths >= DEATHS_WITHOUT_CULPRIT_MAX
        ):
            run = death.held[0]
            culprits = [(run, (run.remaining & -run.remaining).bit_length() - 1)]
        detail = _death_detail(death)
        if len(culprits) == 1:
            run, offset = culprits[0]
            run.remaining &= ~(1 << offset)
            self._settler.ended(run.owner, run.start + offset, death.reason, detail=detail, now=now)
        else:
            for run, offset in culprits:
                run.remaining &= ~(1 << offset)
                lane.suspects.append(run.owner.run(run.start + offset, run.start + offset + 1))
                lane.ready_events += 1
        for run in reversed(death.held):
            if run.remaining:
                lane.requeue(run)

    def _fail_load(self, lane: Lane, death: Death, now: float) -> None:
        detail = _death_detail(death) if death.reason == "load_failed" else lane.load_error
        for run in death.held:
            for place in run.open_places():
                self._settler.ended(run.owner, place, "load_failed", detail=detail, now=now)
        while lane.suspects:
            lane.ready.append(lane.suspects.popleft())
        for run in lane.ready:
            for place in range(run.start, run.start + len(run)):
                self._settler.ended(run.owner, place, "load_failed", detail=detail, now=now)
        lane.ready.clear()
        lane.ready_events = 0


def _death_detail(death: Death) -> bytes:
    error = {
        "code": death.reason,
        "type": "WorkerDied",
        "message": death.explanation,
        "line": None,
        "column": None,
    }
    return wire.Detail(error={**error, "traceback": []}).pack()

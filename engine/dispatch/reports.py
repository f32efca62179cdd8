"""What workers report: outcomes, which are settled, and deaths, for which a culprit is charged and the rest runs again."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final

import structlog

from engine.dispatch import scheduling
from engine.dispatch.states import LaneState
from engine.dispatch.tracing import Ending
from engine.model import FAILED_CODES
from engine.records.spans import BUSY
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.dispatch.assigning import Assigner
    from engine.dispatch.backlog import Backlog
    from engine.dispatch.gate import Gate
    from engine.dispatch.lane import Lane
    from engine.dispatch.settling import Settler
    from engine.dispatch.tracing import Tracer
    from engine.model import Destination
    from engine.workers.holdings import Run
    from engine.workers.telling import Death
    from engine.workers.worker import Worker

log = structlog.get_logger()

BACKOFF_S: Final = (0.0, 0.0, 0.0, 0.1, 0.5, 2.0, 10.0, 30.0)
"""Pause before another worker is bound, by how many died in a row."""
DEATHS_WITHOUT_CULPRIT_MAX: Final = 3
UNCHARGED: Final = frozenset({"stopped", "zygote", "egress"})
"""Deaths that a worker has no part in."""


class Reports:
    """Listener of every worker that the assigner bound."""

    def __init__(
        self,
        *,
        assigner: Assigner,
        settler: Settler,
        tracer: Tracer,
        gate: Gate,
        backlog: Backlog,
        used: Callable[..., None],
        clock: Clock,
    ) -> None:
        """`used(destination, invocations=…, events=…, busy_us=…)` is told what workers report."""
        self.version_compiled: Callable[[Destination, bytes, str], None] = lambda *_: None
        self._assigner = assigner
        self._settler = settler
        self._tracer = tracer
        self._gate = gate
        self._backlog = backlog
        self._used = used
        self._clock = clock
        self._told_us: weakref.WeakKeyDictionary[Worker, int] = weakref.WeakKeyDictionary()

    def loaded(self, worker: Worker, frame: wire.Loaded) -> None:
        """The module is loaded; code compiled anew is kept."""
        lane = self._assigner.lane_of[worker.id]
        if frame.code is not None:
            self.version_compiled(lane.destination, frame.code, worker.policy_key)
        self._assigner.pump(lane)

    def refused(self, worker: Worker, frame: wire.Refused) -> None:
        """The module that once loaded doesn't any more: everything ready fails with `load_failed`."""
        lane = self._assigner.lane_of[worker.id]
        lane.load_error = frame.detail if frame.stage == "load" else _NO_LONGER_COMPILES

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
        endings = [
            Ending(run, offset, wire.OUTCOME_CODES[row.code], row.after_ms, row.detail)
            for run, offset, row in failures
        ]
        failed = sum(ending.code in FAILED_CODES for ending in endings)
        if endings:
            self._tracer.ended(worker.id, endings, has_fetched=worker.has_fetched())
        invocations = self._count(lane, worker, failed, count - failed)
        if count:
            busy_us = self._busy_us(worker, now)
            lane.mean_us = scheduling.mean_us(lane.mean_us, busy_us, count)
            lane.record.count(BUSY, count, round(busy_us / count))
            lane.deaths = 0
            self._used(lane.destination, invocations=invocations, events=count, busy_us=busy_us)
        worker.busy_since = now
        self._assigner.pump(lane)

    def _busy_us(self, worker: Worker, now: float) -> float:
        """How long what ended has taken: as the worker says, but no longer than since the last outcomes.

        That would count as the handler's what the worker waited for a supervisor that has much to do.
        """
        elapsed_us = (now - worker.busy_since) * 1e6
        told_us = worker.told_busy_us()
        spent_us = told_us - self._told_us.get(worker, 0)
        self._told_us[worker] = told_us
        return min(elapsed_us, spent_us) if spent_us > 0 else elapsed_us

    def _count(self, lane: Lane, worker: Worker, failed: int, succeeded: int) -> int:
        """For the breaker, which counts invocations: a batch is one, and failed if no event of it succeeded. Their number."""
        if worker.id in lane.batches:
            lane.batches[worker.id] |= succeeded > 0
            if worker.in_flight:
                return 0
            succeeded = int(lane.batches.pop(worker.id))
            failed = 1 - succeeded
        self._gate.count(lane, failed=failed, succeeded=succeeded)
        return failed + succeeded

    def gone(self, worker: Worker, death: Death) -> None:
        """A worker ended: charge the culprit, run the rest again."""
        lane = self._assigner.lane_of.pop(worker.id)
        lane.workers.remove(worker)
        now = self._clock.monotonic()
        if death.reason not in UNCHARGED:
            lane.deaths += 1
            lane.not_before = now + BACKOFF_S[min(lane.deaths, len(BACKOFF_S) - 1)]
            if death.is_attack:
                self._gate.quarantine(lane)
                for other in lane.workers:  # the same code runs there
                    other.kill("stopped", "its destination is quarantined")
            log.warning(
                "worker_died", destination=lane.destination.name, reason=death.reason, why=death.explanation
            )
        ran_batch = lane.batches.pop(worker.id, None) is not None
        if death.reason in {"refused", "load_failed"}:
            failed = self._fail_load(lane, death, now)
        elif ran_batch and death.culprits:
            failed = self._charge_all(worker, death)
        else:
            failed = self._charge(lane, worker, death)
        self._gate.count(lane, failed=min(failed, 1) if ran_batch else failed, succeeded=0)
        self._backlog.spill(lane)
        self._assigner.pump(lane)

    def _charge_all(self, worker: Worker, death: Death) -> int:
        """A batch is one invocation: how it ended is how all of its events did."""
        detail = _death_detail(death)
        endings = [
            Ending(run, place - run.start, death.reason, 0, detail)
            for run in death.held
            for place in run.open_places()
        ]
        self._tracer.ended(worker.id, endings)
        return len(endings)

    def _charge(self, lane: Lane, worker: Worker, death: Death) -> int:
        """The culprit is charged with an attempt; of several each runs again alone. How many were charged."""
        culprits = death.culprits
        if (
            not culprits
            and death.held
            and death.reason not in UNCHARGED
            and lane.deaths >= DEATHS_WITHOUT_CULPRIT_MAX
        ):
            run = death.held[0]
            culprits = [(run, (run.remaining & -run.remaining).bit_length() - 1)]
        detail = _death_detail(death)
        if len(culprits) == 1:
            run, offset = culprits[0]
            run.remaining &= ~(1 << offset)
            self._tracer.ended(worker.id, [Ending(run, offset, death.reason, 0, detail)])
        else:
            for run, offset in culprits:
                run.remaining &= ~(1 << offset)
                lane.suspects.append(run.owner.run(run.start + offset, run.start + offset + 1))
                lane.ready_events += 1
        for run in reversed(death.held):
            if run.remaining:
                lane.requeue(run)
        return int(len(culprits) == 1)

    def _fail_load(self, lane: Lane, death: Death, now: float) -> int:
        """What it held has failed, and so would everything that is ready; a probe speaks for itself alone."""
        detail = _death_detail(death) if death.reason == "load_failed" else lane.load_error
        places = [(run.owner, place) for run in death.held for place in run.open_places()]
        if lane.state is LaneState.RUNNING:
            ready = lane.take(lane.ready_events) + list(lane.suspects)
            lane.suspects.clear()
            lane.ready_events = 0
            places += [(run.owner, run.start + at) for run in ready for at in range(len(run))]
        for work, place in places:
            self._settler.ended(work, place, "load_failed", detail=detail, now=now)
        return len(places)


def _detail(code: str, kind: str, message: str) -> bytes:
    error = {"code": code, "type": kind, "message": message, "line": None, "column": None}
    return wire.Detail(error={**error, "traceback": []}).pack()


def _death_detail(death: Death) -> bytes:
    return _detail(death.reason, "WorkerDied", death.explanation)


_NO_LONGER_COMPILES: Final = _detail(
    "load_failed", "CompileRefused", "the rules have changed, and the code breaks one: deploy it again"
)

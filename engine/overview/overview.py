"""What is asked of the daemon as a whole: `stats`, `metrics`, `ready`."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from engine.metrics import OTHER, Samples
from engine.overview.destinations import Labels, Tally
from engine.overview.http import HttpTally
from engine.overview.memory import resident_bytes
from engine.overview.readiness import Readiness
from engine.workers import layers
from engine.workers.states import WorkerState
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.clock import Clock
    from engine.dispatch.dispatcher import Dispatcher
    from engine.dispatch.intake import Intake
    from engine.dispatch.lane import Lane
    from engine.egress.supervise import Egress
    from engine.journal.contract import Journal
    from engine.records.records import Records
    from engine.workers.pool import Pool

LANES_AT_ONCE: Final = 200
"""So many destinations are added up before others have their turn."""


class Overview:
    """Owner of nothing but the labels of destinations; reads the parts."""

    def __init__(
        self,
        *,
        journal: Journal,
        records: Records,
        pool: Pool,
        egress: Egress,
        dispatcher: Dispatcher,
        intake: Intake,
        clock: Clock,
        data_dir: Path,
    ) -> None:
        self._journal = journal
        self._records = records
        self._pool = pool
        self._egress = egress
        self._dispatcher = dispatcher
        self._clock = clock
        self._started = clock.monotonic()
        self._labels = Labels()
        self.http = HttpTally()
        self.restarts: dict[str, Callable[[], int]] = {
            "zygote": lambda: pool.zygote_deaths,
            "egress": lambda: egress.restarts,
        }
        """Process → how often it died and was started again."""
        self._readiness = Readiness(
            journal=journal, intake=intake, pool=pool, egress=egress, clock=clock, data_dir=data_dir
        )

    @property
    def uptime_s(self) -> float:
        """Since the daemon was started."""
        return self._clock.monotonic() - self._started

    def forget(self, lane: Lane) -> None:
        """A destination is removed. Call it while its counters are still there."""
        self._labels.forget(lane)

    async def ready(self) -> dict[str, Any]:
        """{ready, checks: [{name, ok, detail}]}: ready if every check passes."""
        checks = await self._readiness.checks()
        return {"ready": all(check.is_ok for check in checks), "checks": [check.as_map() for check in checks]}

    async def stats(self) -> dict[str, Any]:
        """The daemon as a whole."""
        journal = await self._journal.stats()
        totals: Counter[str] = Counter()
        for lane in self._dispatcher.lanes.values():
            totals.update(lane.record.by_code)
        return {
            "uptime_s": round(self.uptime_s, 1),
            "destinations": len(self._dispatcher.lanes),
            "outcomes": dict(totals),
            "workers": dict(self._worker_states()),
            "workers_recycled": self._pool.recycled,
            "zygotes": self._pool.zygotes(),
            "zygotes_replaced": self._pool.zygotes_replaced,
            "worker_exits": dict(self._pool.deaths),
            "records": await self._records.stats(),
            "layers": layers.summary(self._pool.proofs),
            "egress": {"restarts": self._egress.restarts, "layers": self._egress.layers},
            "held_mib": round(self._dispatcher.held_bytes / wire.MIB, 1),
            "journal": {
                "file_bytes": journal.file_bytes,
                "commits": journal.commits,
                "appended": journal.appended,
                "settled": journal.settled,
                "duplicates": journal.duplicates,
                "writable": journal.writable,
                "stored": sum(depth.stored for depth in journal.destinations),
            },
        }

    def _worker_states(self) -> Counter[str]:
        return Counter(str(worker["state"]) for worker in self._pool.describe())

    async def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """Samples by name; `engine.metrics.METRICS` says what they are."""
        samples = Samples()
        await self._measure_destinations(samples)
        await self._measure_journal(samples)
        await self._measure_processes(samples)
        for check in await self._readiness.checks():
            samples.add("ready", int(check.is_ok), check.name)
        self.http.report(samples)
        samples.add("uptime_seconds", round(self.uptime_s, 3))
        samples.add("info", 1, metadata.version("engine"))
        return samples.by_name

    async def _measure_destinations(self, samples: Samples) -> None:
        others, states, in_flight = self._labels.others(), Counter[str](), 0
        has_others = False
        for number, lane in enumerate(list(self._dispatcher.lanes.values()), 1):
            if number % LANES_AT_ONCE == 0:
                await asyncio.sleep(0)
            states[str(lane.state)] += 1
            label = self._labels.of(lane)
            if label == OTHER:
                others.add(lane)
                in_flight, has_others = in_flight + lane.in_flight, True
            else:
                tally = Tally()
                tally.add(lane)
                tally.report(samples, label)
                samples.add("in_flight", lane.in_flight, label)
        others.report(samples, OTHER)
        if has_others:
            samples.add("in_flight", in_flight, OTHER)
        for state, count in sorted(states.items()):
            samples.add("destinations", count, state)

    async def _measure_journal(self, samples: Samples) -> None:
        journal = await self._journal.stats()
        depths: Counter[tuple[str, str]] = Counter()
        for depth in journal.destinations:
            lane = self._dispatcher.lanes.get(depth.destination_id)
            label = OTHER if lane is None else self._labels.of(lane)
            depths[label, "stored"] += depth.stored
            depths[label, "discarded"] += depth.shelved_discarded
            depths[label, "dead"] += depth.shelved_dead
        for (label, state), count in depths.items():
            samples.add("deliveries", count, label, state)
        samples.add("accepted_total", journal.appended)
        samples.add("journal_settled_total", journal.settled)
        samples.add("journal_bytes", journal.file_bytes)
        samples.add("journal_commit_seconds", journal.commit_s)
        samples.add("journal_commit_bytes", journal.commit_bytes)
        samples.add("held_bytes", self._dispatcher.held_bytes)

    async def _measure_processes(self, samples: Samples) -> None:
        states = self._worker_states()
        for state in WorkerState:
            samples.add("workers", states[str(state)], str(state))
        samples.add("worker_slots", self._pool.slots_free)
        exits: Counter[str] = Counter()
        for death, count in self._pool.deaths.items():
            exits[_reason(death)] += count
        for reason, count in sorted(exits.items()):
            samples.add("worker_exits_total", count, reason)
        samples.add("workers_recycled_total", self._pool.recycled)
        samples.add("zygotes_replaced_total", self._pool.zygotes_replaced)
        for process, restarts in self.restarts.items():
            samples.add("restarts_total", restarts(), process)
        rows = self._pool.describe()
        sizes = await asyncio.to_thread(resident_bytes, {int(str(row["pid"])) for row in rows})
        sizes["workers"] = round(sum(float(str(row["used_mib"])) for row in rows) * wire.MIB)
        for process, size in sorted(sizes.items()):
            samples.add("memory_bytes", size, process)


def _reason(death: str) -> str:
    """`exit`, or the signal's name: of the numbers that a worker can end with there are few."""
    kind, _, number = death.partition(" ")
    if kind != "signal":
        return kind
    try:
        return signal.Signals(int(number)).name
    except ValueError:
        return "signal"

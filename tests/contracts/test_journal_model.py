"""Any journal against a plain model: random appends, leases, partial settles, crashes and clock steps."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_journal import IMPLEMENTATIONS, make_chunk

from engine.clock import ManualClock
from engine.model import Lease, Part


@dataclass
class Held:
    """A chunk as the model has it."""

    place: int
    destination: int
    due_ms: int
    accepted_ms: int
    names: list[str]
    attempt: int = 1
    alone: bool = False
    waits: bool = False
    remaining: set[int] = field(default_factory=set)
    lease: Lease | None = None


class JournalMachine(RuleBasedStateMachine):
    """`model` is what must be stored; names of deliveries are their message ids."""

    implementation = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock()
        self.harness = IMPLEMENTATIONS[self.implementation](self.folder, self.clock)
        self.journal: Any = None
        self.model: list[Held] = []
        self.shelf: dict[int, list[tuple[str, str, tuple[str, ...]]]] = {}
        self.destinations = [1, 2]
        self.fresh_due_ms = 0
        self.named = 0
        self.placed = 0
        self.delivery_ids: dict[str, str] = {}

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def teardown(self) -> None:
        self.run(self.harness.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def place(self) -> int:
        self.placed += 1
        return self.placed

    @initialize()
    def open(self) -> None:
        self.journal = self.harness.open()

    @rule(counts=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 12)), min_size=1, max_size=4))
    def append(self, counts: list[tuple[int, int]]) -> None:
        chunks = []
        for which, count in counts:
            names = [f"n{self.named + n}" for n in range(count)]
            self.named += count
            chunks.append(make_chunk(self.clock, *names, destination=self.destinations[which]))
        leases = self.run(self.journal.append(chunks))
        for chunk, lease in zip(chunks, leases, strict=True):
            self.fresh_due_ms = max(self.fresh_due_ms, chunk.due_ms)
            names = chunk.events.message_ids
            held = Held(self.place(), chunk.destination_id, self.fresh_due_ms, chunk.accepted_ms, names)
            held.remaining, held.lease = set(range(len(names))), lease
            self.delivery_ids |= {name: f"{lease.id}.{n}" for n, name in enumerate(names)}
            self.model.append(held)

    def leasable(self, destination: int) -> list[Held]:
        now = self.clock.now_ms()
        found = [
            held
            for held in self.model
            if held.destination == destination
            and held.lease is None
            and (held.due_ms <= now or (not held.waits and held.due_ms <= self.fresh_due_ms))
        ]
        return sorted(found, key=lambda held: (held.due_ms, held.place))

    @rule(which=st.integers(0, 1), chunks_max=st.integers(1, 5))
    def lease(self, which: int, chunks_max: int) -> None:
        destination = self.destinations[which]
        expected = self.leasable(destination)[:chunks_max]
        leases = self.run(
            self.journal.lease(destination, self.clock.now_ms(), chunks_max=chunks_max, bytes_max=1 << 20)
        )
        assert len(leases) == len(expected)
        for held, lease in zip(expected, leases, strict=True):
            chunk = lease.chunk
            assert chunk.events.message_ids == held.names
            assert (chunk.due_ms, chunk.accepted_ms) == (held.due_ms, held.accepted_ms)
            assert (chunk.attempt, chunk.alone) == (held.attempt, held.alone)
            assert lease.remaining == sum(1 << index for index in held.remaining)
            assert [lease.delivery_id(n) for n in range(len(chunk))] == [
                self.delivery_ids[name] for name in held.names
            ]
            held.lease = lease

    @precondition(lambda self: any(held.lease for held in self.model))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        leased = [held for held in self.model if held.lease]
        picked = data.draw(st.lists(st.sampled_from(range(len(leased))), min_size=1, max_size=3, unique=True))
        settlements = [(leased[n].lease, self.draw_parts(data, leased[n])) for n in picked]
        self.run(self.journal.settle(settlements))

    def draw_parts(self, data: st.DataObject, held: Held) -> list[Part]:
        kinds = st.sampled_from(["delivered", "counted", "retry", "discarded", "dead", "unfinished"])
        if data.draw(st.booleans()):
            groups = {data.draw(kinds): sorted(held.remaining)}
        else:
            groups = {}
            for index in sorted(held.remaining):
                groups.setdefault(data.draw(kinds), []).append(index)
        groups.pop("unfinished", None)
        parts = []
        for kind, indices in groups.items():
            due_ms = self.clock.now_ms() + data.draw(st.integers(-50, 200))
            attempt = data.draw(st.integers(1, 300))
            parts.append(
                Part(tuple(indices), kind, f"code of {kind}", due_ms, attempt, attempt % 2 == 0, b"detail")
            )
        self.settle_model(held, parts)
        return parts

    def settle_model(self, held: Held, parts: list[Part]) -> None:
        for part in parts:
            names = [held.names[index] for index in part.indices]
            if part.kind == "retry" and len(names) == len(held.names):
                held.due_ms, held.attempt, held.alone = part.due_ms, part.attempt, part.alone
                held.waits, held.lease = True, None
                return
            held.remaining -= set(part.indices)
            if part.kind == "retry":
                again = Held(self.place(), held.destination, part.due_ms, held.accepted_ms, names)
                again.attempt, again.alone, again.waits = part.attempt, part.alone, True
                again.remaining = set(range(len(names)))
                self.model.append(again)
            elif part.kind in {"discarded", "dead"}:
                entry = (part.kind, part.code, tuple(names))
                self.shelf.setdefault(held.destination, []).insert(0, entry)
        if not held.remaining:
            self.model.remove(held)

    @precondition(lambda self: any(held.lease for held in self.model))
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from([held for held in self.model if held.lease]))
        done = set(range(len(held.names))) - held.remaining
        if done:
            indices = (*sorted(held.remaining), min(done))
            with pytest.raises(ValueError, match="settled before"):
                self.run(self.journal.settle([(held.lease, [Part(indices, "dead", "late")])]))

    @rule(which=st.integers(0, 1))
    def release(self, which: int) -> None:
        for held in self.model:
            if held.lease and held.destination == self.destinations[which]:
                self.journal.release([held.lease])
                held.lease = None

    @rule(orderly=st.booleans())
    def restart(self, orderly: bool) -> None:
        if orderly:
            self.run(self.journal.close())
            self.journal = self.harness.open()
        else:
            self.journal = self.harness.crash()
        for held in self.model:
            held.lease = None
        self.fresh_due_ms = max((held.due_ms for held in self.model if not held.waits), default=0)

    @rule(ms=st.integers(0, 300))
    def time_passes(self, ms: int) -> None:
        self.clock.advance_ms(ms)

    @rule(ms=st.integers(-500, 500))
    def wall_time_jumps(self, ms: int) -> None:
        self.clock.jump_ms(ms)

    @rule(which=st.integers(0, 1))
    def discard(self, which: int) -> None:
        destination = self.destinations[which]
        gone = [held for held in self.model if held.destination == destination]
        assert self.run(self.journal.discard(destination)) == sum(len(held.remaining) for held in gone)
        self.model = [held for held in self.model if held.destination != destination]
        self.shelf.pop(destination, None)
        self.destinations[which] = max(self.destinations) + 1

    @rule()
    def dues(self) -> None:
        expected = {}
        for destination in self.destinations:
            if self.leasable(destination):
                continue
            waiting = [h.due_ms for h in self.model if h.destination == destination and not h.lease]
            if waiting:
                expected[destination] = min(waiting)
        due = self.run(self.journal.next_due())
        ready = {destination for destination in self.destinations if self.leasable(destination)}
        assert {destination for destination in due if due[destination] <= self.clock.now_ms()} == ready
        assert {destination: due[destination] for destination in due if destination not in ready} == expected

    @invariant()
    def counts_and_shelf_are_the_models(self) -> None:
        if self.journal is None:
            return
        for destination in self.destinations:
            depth = self.run(self.journal.depth(destination))
            of = [held for held in self.model if held.destination == destination]
            assert depth.stored == sum(len(held.remaining) for held in of)
            entries = self.shelf.get(destination, [])
            shelved = {"dead": 0, "discarded": 0}
            for kind, _, names in entries:
                shelved[kind] += len(names)
            assert (depth.shelved_dead, depth.shelved_discarded) == (shelved["dead"], shelved["discarded"])
            if entries:
                stored = self.run(self.journal.shelf(destination, limit=10_000))
                assert [
                    (entry.kind, entry.code, tuple(entry.chunk.events.message_ids)) for entry in stored
                ] == entries


TestJournalAgainstModel = JournalMachine.TestCase
TestJournalAgainstModel.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)

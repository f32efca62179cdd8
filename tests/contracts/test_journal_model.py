"""Any journal against a plain model: random appends, leases, partial settles, crashes and clock steps."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_journal import IMPLEMENTATIONS, WINDOW_MS, all_of, make_chunk

from engine.clock import ManualClock
from engine.journal import writer
from engine.journal.contract import Claim, Filter
from engine.model import Lease, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBMITTED = ("one", "two", "three", "four", "five")
"""Message ids that are submitted again and again; in the model `ID of CHUNK.INDEX`."""
CODES = ("retry", "timeout", "bad_request")


@pytest.fixture(autouse=True, scope="module")
def outcomes_wait_for_no_events() -> Iterator[None]:
    """One thing happens after the other here: each of many thousand settlements would wait in vain for company."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "SETTLE_WAIT_S", 0.0)
        yield


def message_id(name: str) -> str:
    return name.split(" of ", maxsplit=1)[0]


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
    code: str = ""
    remaining: set[int] = field(default_factory=set)
    lease: Lease | None = None


@dataclass
class Shelved:
    """An entry of the shelf as the model has it."""

    kind: str
    code: str
    shelved_ms: int
    names: list[str]
    attempt: int
    alone: bool


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
        self.shelf: dict[int, list[Shelved]] = {}
        self.destinations = [1, 2]
        self.fresh_due_ms = 0
        self.named = 0
        self.placed = 0
        self.delivery_ids: dict[str, str] = {}
        self.known: dict[tuple[int, str], list[int]] = {}

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

    def new_names(self, count: int) -> list[str]:
        self.named += count
        return [f"n{self.named - count + n}" for n in range(count)]

    @rule(which=st.integers(0, 1), names=st.lists(st.sampled_from(SUBMITTED), min_size=1, max_size=6))
    def append_what_may_be_known(self, which: int, names: list[str]) -> None:
        destination, now_s = self.destinations[which], self.clock.now_ms() // 1000
        chunk = make_chunk(self.clock, *names, destination=destination)
        [lease] = self.run(self.journal.append([chunk], claims=[Claim(0, 0, len(names), destination)]))
        fresh = set()
        for at, name in enumerate(names):
            times = self.known.setdefault((destination, name), [])
            if all(abs(now_s - known_s) >= WINDOW_MS // 1000 for known_s in times):
                times.append(now_s)
                fresh.add(at)
        assert lease.remaining == sum(1 << at for at in fresh)
        self.fresh_due_ms = max(self.fresh_due_ms, chunk.due_ms)
        if fresh:
            unique = [f"{name} of {lease.id}.{at}" for at, name in enumerate(names)]
            held = Held(self.place(), destination, self.fresh_due_ms, chunk.accepted_ms, unique)
            held.remaining, held.lease = fresh, lease
            self.delivery_ids |= {unique[at]: f"{lease.id}.{at}" for at in fresh}
            self.model.append(held)

    @rule(counts=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 12)), min_size=1, max_size=4))
    def append(self, counts: list[tuple[int, int]]) -> None:
        chunks = []
        for which, count in counts:
            chunks.append(
                make_chunk(self.clock, *self.new_names(count), destination=self.destinations[which])
            )
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
            assert chunk.events.message_ids == list(map(message_id, held.names))
            assert (chunk.due_ms, chunk.accepted_ms) == (held.due_ms, held.accepted_ms)
            assert (chunk.attempt, chunk.alone, chunk.code) == (held.attempt, held.alone, held.code)
            assert lease.remaining == sum(1 << index for index in held.remaining)
            names = {lease.delivery_id(n): held.names[n] for n in held.remaining}
            assert names == {self.delivery_ids[name]: name for name in names.values()}
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
            code = data.draw(st.sampled_from(CODES))
            details = tuple(f"why {held.names[index]}".encode() for index in indices)
            parts.append(Part(tuple(indices), kind, code, due_ms, attempt, attempt % 2 == 0, details))
        self.settle_model(held, parts)
        return parts

    def settle_model(self, held: Held, parts: list[Part]) -> None:
        for part in parts:
            names = [held.names[index] for index in part.indices]
            if part.kind == "retry" and len(names) == len(held.names):
                held.due_ms, held.attempt, held.alone = part.due_ms, part.attempt, part.alone
                held.waits, held.lease, held.code = True, None, part.code
                return
            held.remaining -= set(part.indices)
            if part.kind == "retry":
                again = Held(self.place(), held.destination, part.due_ms, held.accepted_ms, names)
                again.attempt, again.alone, again.waits = part.attempt, part.alone, True
                again.code = part.code
                again.remaining = set(range(len(names)))
                self.model.append(again)
            elif part.kind in {"discarded", "dead"}:
                now = self.clock.now_ms()
                entry = Shelved(part.kind, part.code, now, names, held.attempt, held.alone)
                self.shelf.setdefault(held.destination, []).append(entry)
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

    @rule(which=st.integers(0, 1), count=st.integers(1, 5))
    def overflow(self, which: int, count: int) -> None:
        destination = self.destinations[which]
        chunk = make_chunk(self.clock, *self.new_names(count), destination=destination)
        assert self.run(self.journal.append([], overflowed=[chunk])) == []
        entry = Shelved("dead", "overflow", self.clock.now_ms(), chunk.events.message_ids, 0, alone=False)
        self.shelf.setdefault(destination, []).append(entry)
        [*_, last] = self.run(all_of(self.journal, "shelved", destination=destination, limit=count))[:count]
        origin = last.id[0]
        self.delivery_ids |= {name: f"{origin}.{n}" for n, name in enumerate(entry.names)}

    def draw_filter(self, data: st.DataObject) -> tuple[str, Filter]:
        state = data.draw(st.sampled_from(["shelved", "dead", "discarded"]))
        code = data.draw(st.none() | st.sampled_from((*CODES, "overflow")))
        times = st.none() | st.integers(-300, 50).map(lambda ms: self.clock.now_ms() + ms)
        name = data.draw(st.none() | st.sampled_from(sorted(self.delivery_ids) or ["none"]))
        delivery = None
        if name in self.delivery_ids:
            chunk_id, index = self.delivery_ids[name].split(".")
            delivery = (int(chunk_id), int(index))
        return state, Filter(code, data.draw(times), data.draw(times), delivery)

    def matching(self, destination: int, state: str, where: Filter) -> list[tuple[Shelved, str]]:
        """Of the model's shelf, the oldest first."""
        return [
            (entry, name)
            for entry in self.shelf.get(destination, [])
            if state in {entry.kind, "shelved"}
            and where.code in {None, entry.code}
            and (where.since_ms is None or entry.shelved_ms >= where.since_ms)
            and (where.until_ms is None or entry.shelved_ms < where.until_ms)
            for name in entry.names
            if where.delivery is None or self.delivery_ids[name] == f"{where.delivery[0]}.{where.delivery[1]}"
        ]

    @rule(data=st.data(), which=st.integers(0, 1), limit=st.integers(1, 6))
    def look(self, data: st.DataObject, which: int, limit: int) -> None:
        destination = self.destinations[which]
        state, where = self.draw_filter(data)
        found = self.run(all_of(self.journal, state, where, destination=destination, limit=limit))
        entries: dict[int, list[str]] = {}
        for entry, name in self.matching(destination, state, where):
            entries.setdefault(id(entry), []).append(name)
        expected = [name for names in reversed(entries.values()) for name in names]
        assert [delivery.event.message_ids[0] for delivery in found] == list(map(message_id, expected))

    @rule(data=st.data(), which=st.integers(0, 1), limit=st.integers(1, 9), dry_run=st.booleans())
    def replay(self, data: st.DataObject, which: int, limit: int, dry_run: bool) -> None:
        destination = self.destinations[which]
        state, where = self.draw_filter(data)
        expected = self.matching(destination, state, where)[:limit]
        step = self.run(self.journal.replay(destination, state, where, limit=limit, dry_run=dry_run))
        assert step.deliveries == len(expected)
        if dry_run:
            return
        due_ms = self.fresh_due_ms = max(self.clock.now_ms(), self.fresh_due_ms)
        chunks: dict[int, Held] = {}
        for entry, name in expected:
            entry.names = [kept for kept in entry.names if kept != name]
            if id(entry) not in chunks:
                held = Held(self.place(), destination, due_ms, self.clock.now_ms(), [], alone=entry.alone)
                chunks[id(entry)] = held
                self.model.append(held)
            held = chunks[id(entry)]
            held.names.append(name)
            held.remaining.add(len(held.names) - 1)
        self.shelf[destination] = [entry for entry in self.shelf.get(destination, []) if entry.names]

    @precondition(lambda self: self.delivery_ids)
    @rule(data=st.data())
    def find(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.delivery_ids)))
        chunk_id, index = map(int, self.delivery_ids[name].split("."))
        expected = {}
        for held in self.model:
            for at in held.remaining:
                state = "running" if held.lease else "waiting"
                expected[held.names[at]] = (held.destination, state, held.attempt, held.code)
        for destination, entries in self.shelf.items():
            for entry in entries:
                for shelved in entry.names:
                    expected[shelved] = (destination, entry.kind, entry.attempt, entry.code)
        for destination in self.destinations:
            found = self.run(self.journal.find(destination, (chunk_id, index)))
            if name in expected and expected[name][0] == destination:
                assert found.event.message_ids == [message_id(name)]
                assert (found.destination_id, found.state, found.attempt, found.code) == expected[name]
            else:
                assert found is None

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
            for entry in entries:
                shelved[entry.kind] += len(entry.names)
            assert (depth.shelved_dead, depth.shelved_discarded) == (shelved["dead"], shelved["discarded"])
            if entries:
                stored = self.run(all_of(self.journal, "shelved", destination=destination, limit=1000))
                assert [(d.state, d.code, d.event.message_ids[0], d.attempt, d.detail) for d in stored] == [
                    (
                        e.kind,
                        e.code,
                        message_id(name),
                        e.attempt,
                        b"" if e.code == "overflow" else f"why {name}".encode(),
                    )
                    for e in reversed(entries)
                    for name in e.names
                ]


TestJournalAgainstModel = JournalMachine.TestCase
TestJournalAgainstModel.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)

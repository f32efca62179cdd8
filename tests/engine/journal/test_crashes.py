"""A power cut at any write: what was acknowledged is there, and what was under way is there as a whole or not at all."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from crash_vfs import RememberingDisk

from engine.clock import ManualClock
from engine.errors import JournalFull
from engine.journal import store as store_module
from engine.journal.contract import Claim
from engine.journal.dedupe import index as index_module
from engine.journal.requests import Read
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Lease, Part
from sandbox.wire import Events

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"id {n}" for n in range(60)]
OPTIONS: dict[str, Any] = {"reserve_bytes": 0, "dedupe_bytes_max": 1 << 20}
STEPS = 60
CUTS = 40


def make_chunk(clock: ManualClock, names: list[str], destination: int, size: int) -> Chunk:
    count = len(names)
    events = Events(b"\x01" * count, names, [""] * count, {}, [size] * count, b"x" * size * count)
    return Chunk(destination, events, clock.now_ms(), clock.now_ms())


async def seen(journal: SqliteJournal) -> Any:
    """All that can be seen of what is stored; a lease ends with its process."""
    found = []
    for destination in (1, 2):
        for state in ("waiting", "running", "shelved"):
            cursor = None
            while True:
                page = await journal.deliveries(destination, state, cursor=cursor, limit=1000)
                for d in page.deliveries:
                    where = "waiting" if d.state == "running" else d.state
                    event = (d.event.message_ids, d.event.bodies[:1], len(d.event.bodies))
                    found.append((d.id, destination, where, d.code, d.attempt, d.at_ms, event, d.detail))
                cursor = page.cursor
                if cursor is None:
                    break
        depth = await journal.depth(destination)
        found.append((destination, depth.stored, depth.shelved_dead, depth.shelved_discarded))
    return sorted(found, key=repr)


async def known(journal: SqliteJournal) -> list[str]:
    """Asks the index, in its thread: an append would change it."""

    def judge() -> int:
        index = journal._writer._ids
        bits = index.judge(1, NAMES, journal._clock.now_ms() // 1000)
        index.forget()
        return bits

    bits: int = await journal._request(lambda future: Read(future, judge))
    return [name for at, name in enumerate(NAMES) if bits >> at & 1]


class Script:
    """Random operations, one after the other; after each what is seen, and how much the disk had done by then."""

    def __init__(
        self, disk: RememberingDisk, journal: SqliteJournal, clock: ManualClock, rng: random.Random
    ) -> None:
        self.disk, self.journal, self.clock, self.rng = disk, journal, clock, rng
        self.leases: list[Lease] = []
        self.states: list[tuple[int, Any, list[str]]] = []

    async def note(self) -> None:
        self.states.append((len(self.disk.operations), await seen(self.journal), await known(self.journal)))

    async def step(self) -> None:
        kind = self.rng.choice(
            ["append", "append", "append", "settle", "settle", "replay", "overflow", "discard"]
        )
        if kind == "append":
            names = self.rng.sample(NAMES, self.rng.randint(1, 12))
            size = self.rng.choice([5, 300, 3000])
            chunks = [make_chunk(self.clock, names, 1, size), make_chunk(self.clock, ["other"], 2, size)]
            leases = await self.journal.append(chunks, claims=[Claim(0, 0, len(names), 1)])
            self.leases += [lease for lease in leases if lease.remaining]
        elif kind == "settle" and self.leases:
            picked = self.rng.sample(self.leases, min(3, len(self.leases)))
            await self.journal.settle([(lease, self.parts(lease)) for lease in picked])
            self.leases = [lease for lease in self.leases if lease.remaining]
        elif kind == "replay":
            await self.journal.replay(1, limit=self.rng.randint(1, 20))
        elif kind == "overflow":
            await self.journal.append([], overflowed=[make_chunk(self.clock, ["late"], 2, 400)])
        self.clock.advance_ms(self.rng.randint(0, 2000))
        await self.note()

    def parts(self, lease: Lease) -> list[Part]:
        open_places = [at for at in range(len(lease.chunk)) if lease.remaining >> at & 1]
        places = self.rng.sample(open_places, self.rng.randint(1, len(open_places)))
        half = len(places) // 2
        kind = self.rng.choice(["retry", "dead", "discarded"])
        due_ms = self.clock.now_ms() + self.rng.randint(0, 5000)
        parts = [Part(tuple(places[:half]), "delivered")] if half else []
        ended = tuple(places[half:])
        return [*parts, Part(ended, kind, "timeout", due_ms, 2, details=(b"why",) * len(ended))]


@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_at_any_write_loses_nothing_and_halves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(store_module, "WAL_BYTES", 40_000)  # checkpoints, too, are cut
    monkeypatch.setattr(index_module, "RECENT_MAX", 20)  # and sweeps
    monkeypatch.setattr(index_module, "SWEEP_BUCKETS", 512)
    rng, clock = random.Random(seed), ManualClock()
    sync = os.fsync

    def sync_folder(file: int) -> None:
        sync(file)
        disk.folder_was_synced()

    monkeypatch.setattr(os, "fsync", sync_folder)

    async def write() -> Script:
        journal = SqliteJournal.open(tmp_path / "journal.db", clock=clock, **OPTIONS)
        script = Script(disk, journal, clock, rng)
        await script.note()
        for _ in range(STEPS):
            await script.step()
        await journal.close()
        return script

    async def read(folder: Path) -> tuple[Any, list[str]]:
        journal = SqliteJournal.open(folder / "journal.db", clock=clock, **OPTIONS)
        found = await seen(journal), await known(journal)
        [lease, *_] = await journal.append([make_chunk(clock, ["after"], 2, 10)])
        assert all(lease.id > entry[0][0] for entry in found[0] if isinstance(entry[0], tuple))
        await journal.close()
        return found

    with RememberingDisk() as disk:
        script = asyncio.run(write())
    monkeypatch.undo()
    states = script.states
    assert (
        sum(operation.what == "write" and operation.name == "journal.db" for operation in disk.operations)
        > 50
    )
    clock.jump_ms(-1)
    for cut in rng.sample(range(states[0][0], len(disk.operations) + 1), CUTS):
        disk.after(cut, tmp_path / f"cut{cut}", rng)
        last = max(at for at, (operations, *_) in enumerate(states) if operations <= cut)
        allowed = [state[1:] for state in states[last : last + 2]]
        assert asyncio.run(read(tmp_path / f"cut{cut}")) in allowed, (
            f"after {cut} of {len(disk.operations)} operations"
        )


def test_a_sync_that_fails_refuses_the_append_and_loses_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "WAL_BYTES", 40_000)
    clock, rng = ManualClock(), random.Random(1)

    async def write() -> tuple[list[str], list[str]]:
        accepted, refused = [], []
        journal = SqliteJournal.open(tmp_path / "journal.db", clock=clock, **OPTIONS)
        for n in range(60):
            name = f"event {n}"
            disk.failing_syncs = 2 if n % 5 == 4 else 0  # the second is the one of trying again
            try:
                await journal.append([make_chunk(clock, [name], 1, 3000)], claims=[Claim(0, 0, 1, 1)])
                accepted.append(name)
            except JournalFull:
                refused.append(name)
            disk.failing_syncs = 0
        for name in refused:
            [lease] = await journal.append([make_chunk(clock, [name], 1, 10)], claims=[Claim(0, 0, 1, 1)])
            assert lease.remaining, "what was refused is no duplicate when it comes again"
        disk.after(len(disk.operations), tmp_path / "cut", rng)
        await journal.close()
        return accepted, refused

    async def read() -> set[str]:
        journal = SqliteJournal.open(tmp_path / "cut" / "journal.db", clock=clock, **OPTIONS)
        leases = await journal.lease(1, 2**50, chunks_max=1000, bytes_max=1 << 30)
        await journal.close()
        return {name for lease in leases for name in lease.chunk.events.message_ids}

    with RememberingDisk() as disk:
        accepted, refused = asyncio.run(write())
    assert len(refused) >= 10
    assert asyncio.run(read()) == {*accepted, *refused}

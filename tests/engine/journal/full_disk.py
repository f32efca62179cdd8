"""Fills a small file system of its own, and prints what the journal on it did. Runs in a mount namespace."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.clock import SystemClock
from engine.errors import JournalFull
from engine.journal.contract import Claim
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Lease, Part
from sandbox.wire import Events


def chunk(name: str) -> Chunk:
    now_ms = SystemClock().now_ms()
    events = Events(
        b"\x01" * 20, [f"{name}.{n}" for n in range(20)], [""] * 20, {}, [2000] * 20, b"x" * 40_000
    )
    return Chunk(1, events, now_ms, now_ms)


async def main(folder: Path) -> dict[str, object]:
    seen: dict[str, object] = {}
    clock = SystemClock()
    path, reserve = folder / "journal.db", folder / "journal.db-reserve"
    journal = SqliteJournal.open(path, clock=clock)

    async def append(name: str) -> list[Lease]:
        return await journal.append([chunk(name)], claims=[Claim(0, 0, 20, 1)])

    shelved = await append("shelved")
    await journal.settle([(lease, [Part(tuple(range(20)), "dead", "timeout")]) for lease in shelved])
    leases = []
    last = ""
    try:
        for n in itertools.count():
            last = f"n{n}"
            leases += await append(last)
    except JournalFull as error:
        seen["refusal"] = error.message
    seen["shelved_before"] = (await journal.depth(1)).shelved_dead
    seen["accepted"] = len(leases)
    seen["reserve_while_full"] = reserve.exists()
    ended, rest = leases[:50], leases[50:]
    for lease in ended:
        await journal.settle([(lease, [Part(tuple(range(20)), "delivered")])])
    seen["settled_through_reserve"] = True

    ballast = folder / "ballast"
    fill(ballast)
    # Dead parts copy events to the shelf: sooner or later that needs room which isn't there.
    dead = tuple(range(10))
    waiting = asyncio.ensure_future(
        journal.settle(
            [(lease, [Part(dead, "dead", "timeout", details=(b"d" * 60_000,) * 10)]) for lease in rest]
        )
    )
    while journal.is_writable and not waiting.done():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.01)
    try:
        await journal.replay(1)
    except JournalFull:
        seen["replay_while_held"] = "refused"
    seen["shelved_while_held"] = (await journal.depth(1)).shelved_dead
    # What is held isn't stored yet: a chunk given back now must not be handed out as if nothing of it had ended.
    journal.release(rest[:1])
    leased = await journal.lease(1, clock.now_ms(), chunks_max=10, bytes_max=1 << 20)
    seen["held"] = {
        "is_writable": journal.is_writable,
        "leased": len(leased),
        "settled": waiting.done(),
    }
    # With its device named `mount` adds no option that it has now: an ordinary user's id means nothing in this namespace.
    subprocess.run(["mount", "-o", "remount,size=128m", "tmpfs", str(folder)], check=True)  # noqa: ASYNC221 - nothing else runs
    ballast.unlink()
    await waiting
    seen["settled_after_room"] = True
    [released] = await journal.lease(1, clock.now_ms() + 10_000, chunks_max=10, bytes_max=1 << 20)
    seen["released_while_held"] = released.remaining
    leases[leases.index(rest[0])] = released
    leases += await journal.append([chunk("after")])
    refused = await append(last)
    seen["refused_is_new_after_room"] = refused[0].remaining == (1 << 20) - 1
    leases += refused
    seen["writable_after_room"] = (await journal.stats()).writable and journal.is_writable
    seen["reserve_after_room"] = reserve.exists()
    # The oldest come first: what was shelved before the disk was full.
    seen["replayed_after_room"] = (await journal.replay(1, limit=20)).deliveries
    leases += await journal.lease(1, clock.now_ms() + 10_000, chunks_max=10, bytes_max=1 << 20)
    await journal.close()

    return seen | await what_is_left(path, leases)


async def what_is_left(path: Path, leases: list[Lease]) -> dict[str, object]:
    """After a start: what should be there and isn't, and what is there and shouldn't be."""
    clock = SystemClock()
    again = SqliteJournal.open(path, clock=clock)
    found = await again.lease(1, clock.now_ms() + 10_000, chunks_max=10_000, bytes_max=1 << 30)
    left = {lease.id: lease.remaining for lease in found}
    expected = {lease.id: lease.remaining for lease in leases if lease.remaining}
    await again.close()
    return {
        "lost": sorted(expected.items() - left.items()),
        "returned": sorted(left.items() - expected.items()),
    }


def fill(file: Path) -> None:
    """Until nothing more goes in."""
    with file.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"b" * 4096) == 4096:
            pass


with tempfile.TemporaryDirectory() as mounted:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", mounted], check=True)
    try:
        sys.stdout.write(json.dumps(asyncio.run(main(Path(mounted)))) + "\n")
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=False)

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
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Part
from sandbox.wire import Events


async def main(folder: Path) -> dict[str, object]:
    seen: dict[str, object] = {}
    clock = SystemClock()
    path, reserve = folder / "journal.db", folder / "journal.db-reserve"
    journal = SqliteJournal.open(path, clock=clock)

    def chunk(name: str) -> Chunk:
        events = Events(
            b"\x01" * 20, [f"{name}.{n}" for n in range(20)], [""] * 20, {}, [2000] * 20, b"x" * 40_000
        )
        return Chunk(1, events, clock.now_ms(), clock.now_ms())

    leases = []
    try:
        for n in itertools.count():
            leases += await journal.append([chunk(f"n{n}")])
    except JournalFull as error:
        seen["refusal"] = error.message
    seen["accepted"] = len(leases)
    seen["reserve_while_full"] = reserve.exists()
    ended, rest = leases[:50], leases[50:]
    for lease in ended:
        await journal.settle([(lease, [Part(tuple(range(20)), "delivered")])])
    seen["settled_through_reserve"] = True

    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"b" * 4096) == 4096:
            pass
    # Dead parts copy events to the shelf: sooner or later that needs room which isn't there.
    dead = tuple(range(10))
    waiting = asyncio.ensure_future(
        journal.settle(
            [(lease, [Part(dead, "dead", "timeout", details=(b"d" * 60_000,) * 10)]) for lease in rest]
        )
    )
    while journal.is_writable and not waiting.done():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.01)
    # What is held isn't stored yet: a chunk given back now must not be handed out as if nothing of it had ended.
    journal.release(rest[:1])
    leased = await journal.lease(1, clock.now_ms(), chunks_max=10, bytes_max=1 << 20)
    seen["held"] = {
        "is_writable": journal.is_writable,
        "leased": len(leased),
        "settled": waiting.done(),
    }
    subprocess.run(["mount", "-o", "remount,size=128m", str(folder)], check=True)  # noqa: ASYNC221 - nothing else runs
    ballast.unlink()
    await waiting
    seen["settled_after_room"] = True
    [released] = await journal.lease(1, clock.now_ms() + 10_000, chunks_max=10, bytes_max=1 << 20)
    seen["released_while_held"] = released.remaining
    leases[leases.index(rest[0])] = released
    leases += await journal.append([chunk("after")])
    seen["writable_after_room"] = (await journal.stats()).writable and journal.is_writable
    seen["reserve_after_room"] = reserve.exists()
    await journal.close()

    again = SqliteJournal.open(path, clock=clock)
    found = await again.lease(1, clock.now_ms() + 10_000, chunks_max=10_000, bytes_max=1 << 30)
    left = {lease.id: lease.remaining for lease in found}
    expected = {lease.id: lease.remaining for lease in leases if lease.remaining}
    seen["lost"] = sorted(expected.items() - left.items())
    seen["returned"] = sorted(left.items() - expected.items())
    await again.close()
    return seen


with tempfile.TemporaryDirectory() as mounted:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", mounted], check=True)
    try:
        sys.stdout.write(json.dumps(asyncio.run(main(Path(mounted)))) + "\n")
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=False)

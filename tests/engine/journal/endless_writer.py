"""Appends and settles until it is killed; prints each acknowledgement after it came."""

from __future__ import annotations

import asyncio
import sys

from engine.clock import SystemClock
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Part
from sandbox.wire import Events


def say(what: str, name: str) -> None:
    sys.stdout.write(f"{what} {name}\n")
    sys.stdout.flush()


async def write(journal: SqliteJournal, clock: SystemClock, writer: int) -> None:
    turn = 0
    while True:
        turn += 1
        name = f"{writer}-{turn}"
        events = Events(b"\x01", [name], [""], {}, [5000], b"x" * 5000)
        [lease] = await journal.append([Chunk(1, events, clock.now_ms(), clock.now_ms())])
        say("appended", name)
        if turn % 3 == 0:
            say("settling", name)
            await journal.settle([(lease, [Part((0,), "delivered")])])
            say("settled", name)


async def main() -> None:
    clock = SystemClock()
    journal = SqliteJournal.open(sys.argv[1], clock=clock)
    await asyncio.gather(*(write(journal, clock, writer) for writer in range(20)))


asyncio.run(main())

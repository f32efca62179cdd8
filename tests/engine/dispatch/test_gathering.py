"""What is submitted while the disk is at work waits for it together, on a real journal."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.clock import ManualClock
from engine.dispatch.intake import Intake, Portion, Submit
from engine.dispatch.lane import Lane
from engine.events import encode_events
from engine.journal.requests import Read
from engine.journal.sqlite import SqliteJournal
from engine.model import Destination, FunctionVersion, Limits
from engine.records.record import Record
from sandbox.wire import CHUNK_EVENTS_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine.errors import EngineError

RECORD = Record(1, became_dirty=lambda _record: None, keep=lambda _record, _attempt: None)
VERSION = FunctionVersion(1, 1, "", "f.py", (), b"", "", 0, "", None)
LANE = Lane(Destination(1, "d", "f", VERSION, (), Limits(), 0, 0), RECORD)


class Accepted:
    """The dispatcher: how many events each chunk has that it is given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def expect(self, lanes: list[Lane]) -> None:
        """Nobody works here."""

    def accept(self, _lane: Lane, lease: Any, _waiters: Any) -> None:
        self.sizes.append(len(lease.chunk))


class BusyDisk:
    """An intake, whose journal's thread is held up until `go_on`."""

    def __init__(self, journal: SqliteJournal, accepted: Accepted) -> None:
        dispatcher: Any = accepted
        self.accepted = accepted
        self.errors: list[EngineError | None] = []
        self.intake = Intake(
            journal=journal, dispatcher=dispatcher, clock=ManualClock(), loop=asyncio.get_running_loop()
        )
        self._held = threading.Event()
        self.go_on = self._held.set
        journal._request(lambda future: Read(future, self._held.wait))
        self._queue = journal._writer._queue
        while not self._queue.empty():  # the thread tells nobody that it is held up
            time.sleep(0.001)
        self._next = 0

    @property
    def appends_waiting(self) -> int:
        """What the journal's thread has not begun."""
        return self._queue.qsize()

    async def submit(self, count: int) -> None:
        """So many events, in a turn of the loop of their own."""
        events = encode_events({"type": "track", "messageId": f"{self._next + at}"} for at in range(count))
        self._next += count
        self.intake.submit(Submit([Portion(LANE, events)], lambda error, _: self.errors.append(error), None))
        for _ in range(3):
            await asyncio.sleep(0)


@asynccontextmanager
async def busy_disk(path: Path) -> AsyncIterator[BusyDisk]:
    journal = SqliteJournal.open(path / "journal.db", clock=ManualClock(), reserve_bytes=1 << 16)
    disk = BusyDisk(journal, Accepted())
    try:
        yield disk
    finally:
        disk.go_on()
        await disk.intake.close()
        await journal.close()


def test_submits_that_come_while_another_is_written_become_one_chunk(tmp_path: Path) -> None:
    async def run() -> BusyDisk:
        async with busy_disk(tmp_path) as disk:
            for count in (1, 2, 3, 4):
                await disk.submit(count)
        return disk

    disk = asyncio.run(run())
    assert disk.accepted.sizes == [1, 9]
    assert disk.errors == [None] * 4


def test_what_fills_a_chunk_waits_for_nobody(tmp_path: Path) -> None:
    async def run() -> list[int]:
        async with busy_disk(tmp_path) as disk:
            await disk.submit(1)
            await disk.submit(CHUNK_EVENTS_MAX - 1)
            assert disk.appends_waiting == 1
            await disk.submit(1)
            assert disk.appends_waiting == 2
            await disk.submit(2)
            assert disk.appends_waiting == 2
        return disk.accepted.sizes

    assert asyncio.run(run()) == [1, CHUNK_EVENTS_MAX, 2]


def test_what_waits_is_stored_before_the_daemon_stops(tmp_path: Path) -> None:
    async def run() -> BusyDisk:
        async with busy_disk(tmp_path) as disk:
            await disk.submit(1)
            await disk.submit(1)
            closing = asyncio.ensure_future(disk.intake.close())
            await asyncio.sleep(0)
            disk.go_on()
            await closing
            assert disk.errors == [None, None]
        return disk

    assert asyncio.run(run()).accepted.sizes == [1, 1]

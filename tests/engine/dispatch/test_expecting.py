"""Whoever has no worker gets one ready while the disk is at work, on a real journal."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import ManualClock
from engine.dispatch.intake import Intake, Portion, Submit
from engine.dispatch.lane import Lane
from engine.events import encode_events
from engine.journal.sqlite import SqliteJournal
from engine.model import Destination, FunctionVersion, Limits
from engine.records.record import Record
from engine.workers.states import WorkerState

if TYPE_CHECKING:
    from pathlib import Path

RECORD = Record(1, became_dirty=lambda _record: None, keep=lambda _record, _attempt: None)
VERSION = FunctionVersion(1, 1, "", "f.py", (), b"", "", 0, "", None)


class Said:
    """What the dispatcher is told, in order."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def expect(self, lanes: list[Lane]) -> None:
        self.words += [f"expect {lane.destination.name}" for lane in lanes]

    def accept(self, lane: Lane, _lease: Any, _waiters: Any) -> None:
        self.words.append(f"accept {lane.destination.name}")


def lane_with(*states: WorkerState) -> Lane:
    lane = Lane(Destination(1, "d", "f", VERSION, (), Limits(), 0, 0), RECORD)
    workers: list[Any] = [SimpleNamespace(state=state) for state in states]
    lane.workers += workers
    return lane


async def told_of_a_submit_to(lane: Lane, path: Path) -> list[str]:
    clock, loop, said = ManualClock(), asyncio.get_running_loop(), Said()
    journal = SqliteJournal.open(path, clock=clock, reserve_bytes=1 << 16)
    dispatcher: Any = said
    intake = Intake(journal=journal, dispatcher=dispatcher, clock=clock, loop=loop)
    events = encode_events([{"type": "track", "messageId": "a"}])
    intake.submit(Submit([Portion(lane, events)], lambda *_: None, None))
    await intake.close()
    await journal.close()
    return said.words


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ((), ["expect d", "accept d"]),
        ((WorkerState.SUSPENDED,), ["expect d", "accept d"]),
        ((WorkerState.IDLE,), ["accept d"]),
        ((WorkerState.BUSY, WorkerState.SUSPENDED), ["accept d"]),
    ],
    ids=["no worker", "a suspended one", "an idle one", "a busy one that is asked first"],
)
def test_a_destination_that_could_not_begin_at_once_is_expected(
    tmp_path: Path, states: tuple[WorkerState, ...], told: list[str]
) -> None:
    assert asyncio.run(told_of_a_submit_to(lane_with(*states), tmp_path / "journal.db")) == told

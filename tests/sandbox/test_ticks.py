"""A tick may come at any moment, in the middle of another too: each outcome is reported once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from sandbox import wire
from sandbox.runtime.context import Invocation
from sandbox.worker.loading import Module
from sandbox.worker.masking import Mask
from sandbox.worker.plain import PlainLoop
from sandbox.worker.report import Report
from sandbox.worker.reserve import Reserve
from sandbox.worker.ticker import TICK_S, Hold, Ticker

if TYPE_CHECKING:
    from sandbox.worker.pipe import Pipe


class Sent:
    """Stands for the pipe: the numbers that were sent as delivered."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def send(self, frame: wire.Outcomes) -> None:
        ranges, _ = wire.unpack_outcomes(frame, events_max=100)
        self.numbers += [first + at for first, count in ranges for at in range(count)]


def test_a_tick_that_comes_during_a_tick_does_nothing() -> None:
    ticker, looks = Ticker(), []

    def look(now: float) -> str:
        looks.append(now)
        ticker._tick(0, None)
        return ""

    ticker._look = look
    ticker._tick(0, None)
    ticker._tick(0, None)
    assert len(looks) == 2


def test_a_tick_that_comes_just_before_outcomes_are_sent_sends_them_instead() -> None:
    class TickBefore(Hold):
        def __enter__(self) -> None:
            if not self.depth and not ticked:
                ticked.append(True)
                report.flush()
            super().__enter__()

    ticked: list[bool] = []
    sent = Sent()
    report = Report(cast("Pipe", sent), TickBefore(), "function.py", reserve=Reserve(), mask=Mask([]))
    report.delivered(1, 3)
    report.delivered_one(7)
    report.flush()
    assert ticked
    assert sorted(sent.numbers) == [1, 2, 3, 7]


def test_ten_milliseconds_after_it_began_a_worker_has_said_what_has_ended() -> None:
    hold, sent = Hold(), Sent()
    report = Report(cast("Pipe", sent), hold, "function.py", reserve=Reserve(), mask=Mask([]))
    page = memoryview(bytearray(wire.PAGE_BYTES)).cast("Q")
    module = Module("function.py", 5.0, 1, 0, {}, {}, {}, [], [], None, Mask([]))
    invocation = Invocation(is_async=False, console_bytes=0)
    plain = PlainLoop(module, report, ticker=Ticker(), page=page, invocation=invocation)
    page[0] = 5
    assert plain._look(time.monotonic()) == ""
    assert sent.numbers == [1, 2, 3, 4]
    assert TICK_S <= 0.01

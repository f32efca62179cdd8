"""A tick may come at any moment, in the middle of another too: each outcome is reported once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import msgpack

from sandbox import wire
from sandbox.runtime.context import Invocation
from sandbox.runtime.handler import Callback
from sandbox.worker.loading import Module
from sandbox.worker.masking import Mask
from sandbox.worker.plain import PlainLoop
from sandbox.worker.report import Report
from sandbox.worker.reserve import Reserve
from sandbox.worker.ticker import TICK_S, Hold, Ticker

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Still(Ticker):
    """Its timer never runs: a test on a slow machine would see ticks that it doesn't mean."""

    def start(self, look: Callable[[float], str], filename: str) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


def plain_loop(sent: Sent, page: memoryview) -> PlainLoop:
    """Of a module whose handler of track events does nothing."""
    ticker = Still()
    report = Report(cast("Pipe", sent), ticker.hold, "function.py", reserve=Reserve(), mask=Mask([]))
    handlers: list[Callback | None] = [None] * len(wire.EVENT_TYPES)
    handlers[wire.EVENT_TYPE_INDEX["track"]] = Callback(lambda _: None, is_async=False, takes_settings=False)
    module = Module("function.py", 5.0, 1, 0, {}, {}, {}, handlers, [], None, Mask([]))
    invocation = Invocation(is_async=False, console_bytes=0)
    return PlainLoop(module, report, ticker=ticker, page=page, invocation=invocation)


def test_frames_that_wait_for_each_other_are_answered_together() -> None:
    sent = Sent()
    plain = plain_loop(sent, memoryview(bytearray(wire.PAGE_BYTES)).cast("Q"))
    body = msgpack.packb({"type": "track"})
    plain._sent_at = time.monotonic() + 60  # as if it had just been sent
    for first in (1, 3, 5):
        plain.run(wire.Invoke(first, 0, b"\x01\x01", ["", ""], ["", ""], [len(body)] * 2, body * 2))
    assert sent.numbers == []
    plain.rest()
    assert sent.numbers == [1, 2, 3, 4, 5, 6]
    plain.rest()
    assert len(sent.numbers) == 6


def test_ten_milliseconds_after_it_began_a_worker_has_said_what_has_ended() -> None:
    sent = Sent()
    page = memoryview(bytearray(wire.PAGE_BYTES)).cast("Q")
    plain = plain_loop(sent, page)
    page[0] = 5
    assert plain._look(time.monotonic()) == ""
    assert sent.numbers == [1, 2, 3, 4]
    assert TICK_S <= 0.01

"""An egress process as the supervisor holds it: what it says is checked, and that it says nothing delays nobody."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from engine.egress import control, slot
from engine.egress.counting import Calls, Counter, calls_of
from engine.egress.processes import PULL_S_MAX, Process
from engine.egress.supervise import HUNG_S_MAX, LOOK_EVERY_S, silent_since

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox import wire


class Peer:
    """Stands for the launcher and for the process that it forks: the other end of its control socket."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.counted_: list[tuple[int, Calls]] = []
        self.deaths = 0

    def fork(self, _process: Process) -> socket.socket:
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        return ours

    def say(self, frame: wire.Frame | bytes) -> None:
        assert self.socket is not None
        self.socket.sendall(frame if isinstance(frame, bytes) else frame.pack())

    def process_started(self, process: Process, layers: list[list[str]]) -> None:
        pass

    def process_died(self, _process: Process) -> None:
        self.deaths += 1

    def violated(self, worker_id: int, reason: str) -> None:
        pass

    def counted(self, destination: int, calls: Calls) -> None:
        self.counted_.append((destination, calls))


def run(test: Callable[[Process, Peer], Awaitable[None]]) -> None:
    async def main() -> None:
        peer = Peer()
        process = Process(0, peer, asyncio.get_running_loop(), peer)  # type: ignore[arg-type]
        try:
            await test(process, peer)
        finally:
            process.close()
            if process.started.done():
                process.started.exception()
            assert peer.socket is not None
            peer.socket.close()

    uvloop.run(main())


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  the condition is anything
            await asyncio.sleep(0.001)


def test_a_failure_waits_for_its_traces_but_not_for_long_and_not_twice() -> None:
    async def test(process: Process, peer: Peer) -> None:
        answers: list[dict[int, list[Any]]] = []

        async def asked() -> float:
            begun = time.monotonic()
            expected = len(answers) + 1
            process.pull(1, [7], answers.append)
            await until(lambda: len(answers) == expected)
            return time.monotonic() - begun

        assert await asked() > PULL_S_MAX * 0.9
        assert await asked() < PULL_S_MAX / 2  # an earlier question is unanswered
        peer.say(control.Alive())
        await until(lambda: not process._is_late)
        asyncio.get_running_loop().call_later(0.01, peer.say, control.Pulled(2, [[7, {"status": 200}]]))
        assert await asked() < PULL_S_MAX
        assert answers == [{}, {}, {7: [{"status": 200}]}]

    run(test)


@pytest.mark.parametrize(
    "rows",
    [
        [[1]], [["1", *[0] * 9]], [[1, *[0] * 8]], [[1, -1, *[0] * 8]], [[1, True, *[0] * 8]],
        [[1, 1 << 62, *[0] * 8]], [{}], [7],
    ],
)  # fmt: skip
def test_counts_that_are_none_end_the_process(rows: list[Any]) -> None:
    async def test(process: Process, peer: Peer) -> None:
        del process
        peer.say(control.Counted(rows))
        await until(lambda: peer.deaths)
        assert peer.counted_ == []

    run(test)


def test_what_is_counted_arrives_as_it_was_counted() -> None:
    counter = Counter()
    assert not counter
    for status in (200, 204, 503, 999):
        counter.response(status)
    counter.ended(sent_bytes=10, received_bytes=3, has_failed=False)
    counter.ended(sent_bytes=5, received_bytes=0, has_failed=True)
    row = counter.take()
    assert not counter

    async def test(process: Process, peer: Peer) -> None:
        del process
        peer.say(control.Counted([[4, *row]]))
        await until(lambda: peer.counted_)
        assert peer.counted_ == [(4, Calls(2, 15, 3, {"2xx": 2, "5xx": 1, "failed": 1}))]

    run(test)
    with pytest.raises(ValueError, match="counts"):
        calls_of([])


class Forker:
    """Stands for a launcher: one that is stuck forks nothing, whatever it is asked."""

    is_gone = False

    def __init__(self, *, is_stuck: bool) -> None:
        self.is_stuck = is_stuck
        self.is_stopped = False
        self._ends: list[socket.socket] = []

    def fork(self, _process: Process) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._ends.append(theirs)
        if not self.is_stuck:
            theirs.sendall(control.Started([]).pack())
        return ours

    async def stop(self) -> None:
        self.is_stopped = True
        for end in self._ends:
            end.close()


def test_a_launcher_that_forks_no_more_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    launchers = [Forker(is_stuck=True), Forker(is_stuck=False)]
    waiting = iter(launchers)

    async def start(_ca_file: str) -> Forker:
        return next(waiting)

    monkeypatch.setattr(slot, "START_S_MAX", 0.05)
    monkeypatch.setattr(slot.Launcher, "start", start)

    async def main() -> None:
        place = slot.Slot(0, "", loop=asyncio.get_running_loop(), events=Peer())
        await place._restart()
        assert place.is_ready
        assert [launcher.is_stopped for launcher in launchers] == [True, False]
        await place.stop()

    uvloop.run(main())


@pytest.mark.parametrize("late_s", [0.0, 0.6, 5.0])
def test_what_hangs_is_found_however_late_each_look_comes(late_s: float) -> None:
    heard_at = now = 100.0
    looks = 0
    while now - heard_at <= HUNG_S_MAX:
        looks += 1
        looked_at, now = now, now + LOOK_EVERY_S + late_s
        heard_at = silent_since(heard_at, looked_at, now)
    assert looks == int(HUNG_S_MAX / LOOK_EVERY_S) + 1


def test_a_pause_of_the_supervisors_own_is_nobodys_silence() -> None:
    looked_at, heard_at = 100.0, 99.0
    assert silent_since(heard_at, looked_at, looked_at + 3600) == pytest.approx(
        looked_at + 3600 - LOOK_EVERY_S - 1
    )
    just_heard = looked_at + 3599.9
    assert silent_since(just_heard, looked_at, looked_at + 3600) == looked_at + 3600

"""The engine's time: wall time without its jumps, within a run of the daemon and from one to the next."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from engine import clock_mark
from engine.clock import ManualClock, Mark, SteadyClock, resume_ms

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000


def test_time_passes_as_the_machine_says_while_nobody_sets_its_clock() -> None:
    source = ManualClock()
    clock = SteadyClock(source)
    for ms in (1, 50, 1_000, HOUR_MS):
        source.advance_ms(ms)
        assert clock.now_ms() == source.now_ms()


@pytest.mark.parametrize("jump_ms", [10 * HOUR_MS, -10 * HOUR_MS])
def test_a_jump_is_not_followed_but_approached_slowly(jump_ms: int) -> None:
    source = ManualClock()
    clock = SteadyClock(source)
    before = clock.now_ms()
    source.jump_ms(jump_ms)
    assert clock.now_ms() == before
    source.advance_ms(HOUR_MS)
    assert 0.9 * HOUR_MS - 1 <= clock.now_ms() - before <= 1.1 * HOUR_MS + 1
    source.advance_ms(100 * HOUR_MS)
    assert clock.now_ms() == source.now_ms()


def test_time_never_goes_back() -> None:
    source = ManualClock()
    clock = SteadyClock(source)
    seen = [clock.now_ms()]
    for ms in (0, 5, 0, 100):
        source.jump_ms(-1_000)
        source.advance_ms(ms)
        seen.append(clock.now_ms())
    assert seen == sorted(seen)


def test_threads_that_ask_together_are_told_one_after_the_other() -> None:
    inside: list[int] = []
    most = 0

    class Slow(ManualClock):
        def now_ms(self) -> int:
            nonlocal most
            inside.append(1)
            most = max(most, len(inside))
            time.sleep(0)  # lets another thread run
            inside.pop()
            return super().now_ms()

    clock = SteadyClock(Slow())
    threads = [threading.Thread(target=lambda: [clock.now_ms() for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize(
    ("wall_ms", "boot_id", "boot_ms", "begins_ms"),
    [
        (1_000_000 + 10 * HOUR_MS, "a", 5_000, 1_002_000),  # set ahead while the daemon was away
        (0, "a", 5_000, 1_002_000),  # set back
        (9_000_000, "b", 10, 9_000_000),  # the machine was off: wall time is all there is
        (0, "b", 10, 1_000_000),  # … unless it is earlier than it was
    ],
)
def test_a_restart_goes_on_from_the_mark(wall_ms: int, boot_id: str, boot_ms: int, begins_ms: int) -> None:
    assert resume_ms(wall_ms, boot_id, boot_ms, Mark(1_000_000, "a", 3_000)) == begins_ms


def test_without_a_mark_wall_time_is_believed() -> None:
    assert resume_ms(5, "a", 1, None) == 5


@pytest.mark.parametrize("text", ["", "{", "[]", '{"now_ms": "x", "boot_id": "", "boot_ms": 1}', '{"x": 1}'])
def test_a_mark_that_can_not_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "clock").write_text(text)
    assert abs(clock_mark.open_clock(tmp_path / "clock").now_ms() - clock_mark.SystemClock().now_ms()) < 1_000


def test_the_mark_is_kept_at_the_start_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    loop = asyncio.new_event_loop()
    with clock_mark.kept(path, loop):
        begun = path.read_text()
        path.unlink()
    loop.close()
    assert path.exists()
    first = clock_mark.open_clock(path).now_ms()
    path.write_text(
        begun.replace('"now_ms": ', '"now_ms": 1')
    )  # ten times as long after 1970, in the same run
    assert clock_mark.open_clock(path).now_ms() > 2 * first

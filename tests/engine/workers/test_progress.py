"""Whether a worker still moves, by what it says in the shared page and by what it reports."""

from __future__ import annotations

import pytest

from engine.workers.progress import GRACE_MS, Progress
from sandbox.wire import WireError

TIMEOUT_MS = 1_000
LONGEST_S = (TIMEOUT_MS + GRACE_MS) / 1000


def late_at(
    moves: list[tuple[float, int]], *, oldest: int, is_async: bool, reports: tuple[float, ...] = ()
) -> float:
    """Seconds after which the worker is late whose index moved so; ticks come every 50 ms. 100 if it never is."""
    progress = Progress()
    progress.begin(0.0)
    waiting = list(moves)
    for tick in range(1, 2_000):
        now = tick * 0.05
        while waiting and waiting[0][0] <= now:
            progress.see(waiting.pop(0)[1], now, last=10_000, timeout_ms=TIMEOUT_MS)
        if any(now - 0.05 < at <= now for at in reports):
            progress.reported(now)
        if progress.is_late(now, oldest=oldest, timeout_ms=TIMEOUT_MS, is_async=is_async):
            return now
    return 100.0


@pytest.mark.parametrize("is_async", [False, True])
def test_an_index_unchanged_for_the_timeout_and_the_grace_is_late(is_async: bool) -> None:
    assert late_at([(0.05, 1)], oldest=1, is_async=is_async) == pytest.approx(LONGEST_S + 0.05, abs=0.06)


@pytest.mark.parametrize("is_async", [False, True])
def test_one_that_never_starts_anything_is_late(is_async: bool) -> None:
    assert late_at([], oldest=1, is_async=is_async) == pytest.approx(LONGEST_S, abs=0.06)


def test_reports_are_progress() -> None:
    assert late_at([(0.05, 5)], oldest=9, is_async=False, reports=(1.0,)) == pytest.approx(
        1.0 + LONGEST_S, abs=0.11
    )


@pytest.mark.parametrize("is_async", [False, True])
def test_an_index_that_moves_without_reports_is_late_all_the_same(is_async: bool) -> None:
    moves = [(at * 0.5, at) for at in range(1, 1_000)]
    longest_s = LONGEST_S if is_async else LONGEST_S + 0.5
    assert late_at(moves, oldest=1, is_async=is_async) == pytest.approx(0.5 + longest_s, abs=0.11)


def test_an_invocation_that_keeps_others_company_for_ever_is_late() -> None:
    moves = [(at * 0.05, at) for at in range(1, 1_000)]
    reports = tuple(at * 0.05 for at in range(1_000))
    assert late_at(moves, oldest=20, is_async=True, reports=reports) == pytest.approx(
        1.0 + LONGEST_S, abs=0.11
    )


def test_of_one_at_a_time_the_one_before_is_due_when_the_next_is_over() -> None:
    """Its outcome may be ready and unsent while the next one runs in C, where no tick comes."""
    moves = [(0.05, 1), (1.0, 2)]
    assert late_at(moves, oldest=1, is_async=False) == pytest.approx(1.0 + LONGEST_S, abs=0.11)


@pytest.mark.parametrize("index", [0, 2, 8, 2**64 - 1])
def test_an_index_that_falls_or_passes_what_was_given_is_a_lie(index: int) -> None:
    progress = Progress()
    progress.see(3, 1.0, last=7, timeout_ms=TIMEOUT_MS)
    with pytest.raises(WireError):
        progress.see(index, 2.0, last=7, timeout_ms=TIMEOUT_MS)


def test_what_is_remembered_is_bounded() -> None:
    progress = Progress()
    progress.begin(0.0)
    for at in range(1, 50_000):
        progress.see(at, at / 40_000, last=50_000, timeout_ms=TIMEOUT_MS)
    assert len(progress._marks) < 200

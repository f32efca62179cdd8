"""What is done about a worker's memory, and what it costs to know of it."""

from __future__ import annotations

import mmap
import os
import time

import pytest

from engine.workers.memory import Gauge, Verdict, judge

BUSY_WORKERS = 256
SHARE_OF_A_CORE = 0.01
LIMIT = 1_000


@pytest.mark.parametrize(
    ("used", "were_caches_dropped", "verdict"),
    [
        (0, False, Verdict.FINE),
        (800, False, Verdict.FINE),
        (810, False, Verdict.DROP_CACHES),
        (999, False, Verdict.DROP_CACHES),
        (800, True, Verdict.FINE),
        (810, True, Verdict.RECYCLE),
        (999, True, Verdict.RECYCLE),
        (1_000, False, Verdict.KILL),
        (5_000, True, Verdict.KILL),
    ],
)
def test_over_80_percent_caches_are_dropped_then_the_worker_is_replaced_and_at_100_it_ends(
    used: int, were_caches_dropped: bool, verdict: Verdict
) -> None:
    assert judge(used, LIMIT, were_caches_dropped=were_caches_dropped) is verdict


def test_memory_that_is_used_is_seen() -> None:
    gauge = Gauge()
    before = gauge.measure(os.getpid())
    # New pages: the heap may hold as many that are free.
    used = mmap.mmap(-1, 20_000_000, flags=mmap.MAP_PRIVATE)
    used.write(b"x" * len(used))
    after = gauge.measure(os.getpid())
    assert before is not None
    assert after is not None
    assert after.anonymous - before.anonymous > 0.9 * len(used)
    gauge.forget(os.getpid())


def test_a_process_that_is_gone_is_not_measured() -> None:
    pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    gauge = Gauge()
    gauge.measure(pid)
    os.waitpid(pid, 0)
    assert gauge.measure(pid) is None
    gauge.forget(pid)


def test_a_second_of_samples_of_256_busy_workers_takes_under_a_hundredth_of_a_core() -> None:
    gauge = Gauge()

    def sample() -> float:
        begun = time.process_time()
        for _ in range(BUSY_WORKERS):
            size = gauge.measure(os.getpid())
            assert size is not None
            judge(size.anonymous, 1 << 40, were_caches_dropped=False)
        return time.process_time() - begun

    assert min(sample() for _ in range(5)) < SHARE_OF_A_CORE
    gauge.forget(os.getpid())

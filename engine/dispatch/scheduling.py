"""Pure: how much work a worker is given, and how many workers a destination is worth."""

from __future__ import annotations

from typing import Final

EVENTS_IN_FLIGHT_MAX: Final = 4_000
"""A worker never holds more: what it holds runs again if it dies."""
WAITING_MAX: Final = 8
"""Spares that are forked for destinations that wait for one, besides those that are kept."""
BLOCKING_US: Final = 2_000.0
"""A handler that takes longer is taken to wait for something: more workers help even when all cores are busy."""


def slots_reserved(workers_max: int) -> int:
    """Slots that are left to destinations without a worker: one in sixteen, so that none waits for a crowded one to end."""
    return workers_max // 16


def mean_us(before: float | None, elapsed_us: float, count: int) -> float:
    """Moving average of the time an event takes in a worker, from `count` outcomes that took `elapsed_us` together."""
    sample = max(elapsed_us / count, 0.5)
    return sample if before is None else before + (sample - before) * 0.4


def allowance(mean: float | None, *, frame_ms: int, concurrency: int) -> int:
    """Events a worker may hold at once: about `frame_ms` of work; one until it is known how long one takes.

    `concurrency` is the number of invocations that the worker runs at once: 1 for `def` handlers.
    """
    if mean is None:
        return max(1, concurrency)
    return min(EVENTS_IN_FLIGHT_MAX, max(1, concurrency, int(frame_ms * 1000 / mean)))


def room(allowance: int, *, in_flight: int, concurrency: int) -> int:
    """How many more a worker is given that may hold `allowance` and holds `in_flight`.

    It is filled up when half of it is through, rather than with every outcome: else each chunk would be cut to fit, and
    travel as two frames that are answered by two.
    """
    return 0 if in_flight >= max(concurrency, allowance // 2) else allowance - in_flight


def workers_wanted(
    *,
    ready: int,
    mean: float | None,
    bound: int,
    running_us: float,
    is_blocked: bool,
    concurrency: int,
    cpus: int,
    frame_ms: int,
) -> int:
    """How many workers a destination is worth while `ready` events wait and its `bound` workers are full.

    `running_us` is how long the longest invocation has been running: an estimate while no outcome is there yet.
    Fast handlers are bound by the processor, so that more workers than cores would only take turns; so are slow ones
    that aren't `is_blocked`: they compute, or wait for a processor that others have.
    """
    if bound == 0:
        return 1
    cost = max(mean or 0.0, running_us)
    if ready == 0 or cost == 0.0:
        return bound
    backlog_us = ready * cost
    if backlog_us <= frame_ms * 1000 * bound:
        return bound
    useful = concurrency if is_blocked and cost >= BLOCKING_US else min(concurrency, max(1, cpus - 1))
    return min(useful, bound + max(1, min(ready, bound)))

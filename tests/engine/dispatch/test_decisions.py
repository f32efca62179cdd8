"""The pure decisions of dispatch."""

from __future__ import annotations

import random

import pytest

from engine.dispatch import batching, retrying, scheduling
from engine.dispatch.retrying import RetryPolicy
from engine.model import ATTEMPTS_MAX
from sandbox.wire import OUTCOME_CODES

HOUR_MS = 3_600_000


def decide(code: str, *, attempt: int = 1, age_ms: int = 0, after_ms: int = 0) -> retrying.Verdict:
    return retrying.decide(
        code,
        attempt=attempt,
        accepted_ms=0,
        now_ms=age_ms,
        after_ms=after_ms,
        policy=RetryPolicy(),
        rng=random.Random(1),
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("delivered", "delivered"),
        ("filtered", "counted"),
        ("dropped", "counted"),
        ("unsupported_event_type", "counted"),
        ("bad_request", "discarded"),
        ("invalid_settings", "discarded"),
        ("message_rejected", "discarded"),
        ("retry", "retry"),
        ("timeout", "retry"),
        ("memory_limit", "retry"),
        ("crashed", "retry"),
        ("load_failed", "retry"),
    ],
)
def test_each_code_is_treated_as_the_table_says(code: str, kind: str) -> None:
    assert decide(code).kind == kind


def test_every_code_of_the_wire_has_a_treatment() -> None:
    assert {decide(code).kind for code in OUTCOME_CODES} == {"delivered", "counted", "discarded", "retry"}


@pytest.mark.parametrize("code", sorted(ATTEMPTS_MAX))
def test_what_kills_workers_is_dead_after_its_attempts(code: str) -> None:
    assert decide(code, attempt=ATTEMPTS_MAX[code] - 1).kind == "retry"
    assert decide(code, attempt=ATTEMPTS_MAX[code]).kind == "dead"


def test_a_failure_within_four_hours_is_retried_and_after_them_dead() -> None:
    assert decide("retry", attempt=40, age_ms=4 * HOUR_MS - 1).kind == "retry"
    assert decide("retry", attempt=2, age_ms=4 * HOUR_MS).kind == "dead"


def test_the_first_retry_comes_after_a_second_and_later_ones_spread_up_to_the_cap() -> None:
    assert decide("retry").due_ms == 1_000
    dues = [retrying.pause_ms(30, policy=RetryPolicy(), rng=random.Random(seed)) for seed in range(200)]
    assert max(dues) <= 900_000
    assert min(dues) < 100_000
    assert max(dues) > 800_000


def test_a_handler_may_ask_for_a_later_retry_but_not_an_earlier_one() -> None:
    assert decide("retry", after_ms=60_000).due_ms == 60_000
    assert decide("retry", after_ms=1).due_ms == 1_000


def test_a_worker_gets_one_event_until_it_is_known_how_long_one_takes() -> None:
    assert scheduling.allowance(None, frame_ms=20, concurrency=1) == 1
    assert scheduling.allowance(10.0, frame_ms=20, concurrency=1) == 2_000
    assert scheduling.allowance(50_000.0, frame_ms=20, concurrency=1) == 1
    assert scheduling.allowance(50_000.0, frame_ms=20, concurrency=16) == 16


def wanted(*, ready: int, mean: float | None, bound: int, running_us: float = 0.0) -> int:
    return scheduling.workers_wanted(
        ready=ready, mean=mean, bound=bound, running_us=running_us, concurrency=16, cpus=2, frame_ms=20
    )


def test_slow_handlers_scale_out_to_their_concurrency_and_fast_ones_do_not() -> None:
    assert wanted(ready=1000, mean=50_000, bound=1) == 2
    assert wanted(ready=1000, mean=50_000, bound=12) == 16
    assert wanted(ready=100_000, mean=5, bound=1) == 1


def test_an_invocation_that_hangs_from_the_start_is_a_reason_to_scale_out() -> None:
    assert wanted(ready=5, mean=None, bound=1) == 1
    assert wanted(ready=5, mean=None, bound=1, running_us=30_000) == 2


def close(ready: int, *, waited_ms: int = 0, has_single: bool = True, size: int = 100) -> batching.Closing:
    return batching.close(
        ready=ready,
        sizes=[size] * ready,
        waited_ms=waited_ms,
        batch_size=20,
        batch_wait_ms=10_000,
        has_single=has_single,
    )


def test_a_batch_closes_when_it_is_full_or_has_waited() -> None:
    assert close(19, waited_ms=4_000) == batching.Closing(0, wait_ms=6_000)
    assert close(20) == batching.Closing(20)
    assert close(45) == batching.Closing(20)
    assert close(15, waited_ms=10_000) == batching.Closing(15)


def test_under_one_event_a_second_the_single_handlers_run_if_there_are_any() -> None:
    assert close(9, waited_ms=10_000) == batching.Closing(9, as_batch=False)
    assert close(9, waited_ms=10_000, has_single=False) == batching.Closing(9)


def test_a_batch_closes_at_four_mebibytes() -> None:
    assert close(10, size=1024 * 1024) == batching.Closing(4)

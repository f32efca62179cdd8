"""When a batch closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.dispatch.batching import Closing, close
from sandbox.wire import BATCH_BYTES_MAX, EVENT_BYTES_MAX, MIB

if TYPE_CHECKING:
    from collections.abc import Sequence


def closing(
    ready: int | Sequence[int],
    *,
    waited_ms: int = 0,
    has_single: bool = True,
    batch_size: int = 20,
    batch_wait_ms: int = 10_000,
    is_last: bool = False,
) -> Closing:
    return close(
        sizes=[100] * ready if isinstance(ready, int) else ready,
        waited_ms=waited_ms,
        batch_size=batch_size,
        batch_wait_ms=batch_wait_ms,
        has_single=has_single,
        is_last=is_last,
    )


def test_a_batch_closes_when_it_is_full_or_has_waited() -> None:
    assert closing(19, waited_ms=4_000) == Closing(0, wait_ms=6_000)
    assert closing(20) == Closing(20)
    assert closing(45) == Closing(20)
    assert closing(15, waited_ms=10_000) == Closing(15)


def test_under_one_event_a_second_the_single_handlers_run_if_there_are_any() -> None:
    assert closing(9, waited_ms=10_000) == Closing(9, as_batch=False)
    assert closing(9, waited_ms=10_000, has_single=False) == Closing(9)
    assert closing(10, waited_ms=10_000) == Closing(10)


def test_the_rate_is_measured_over_the_time_that_was_waited() -> None:
    assert closing(1, waited_ms=500, batch_wait_ms=500) == Closing(1)
    assert closing(12, waited_ms=60_000) == Closing(12, as_batch=False)


def test_a_full_batch_is_one_however_long_it_waited() -> None:
    assert closing(20, waited_ms=3_600_000) == Closing(20)


def test_a_batch_closes_before_the_event_that_would_make_it_too_large() -> None:
    assert closing([MIB] * 10) == Closing(4)
    assert closing([MIB] * 4, waited_ms=0) == Closing(0, wait_ms=10_000)


def test_a_stop_closes_what_was_collected_as_a_batch() -> None:
    assert closing(3, waited_ms=10, is_last=True) == Closing(3)
    assert closing(0, is_last=True).count == 0


@given(
    sizes=st.lists(st.integers(1, EVENT_BYTES_MAX), max_size=500),
    waited_ms=st.integers(0, 30_000),
    batch_size=st.integers(1, 400),
    has_single=st.booleans(),
)
def test_a_batch_is_never_too_large_and_never_asks_to_wait_for_ever(
    sizes: list[int], waited_ms: int, batch_size: int, has_single: bool
) -> None:
    decided = closing(sizes, waited_ms=waited_ms, batch_size=batch_size, has_single=has_single)
    assert decided.count <= min(batch_size, len(sizes))
    assert sum(sizes[: decided.count]) <= BATCH_BYTES_MAX
    if not decided.count:
        assert 0 < decided.wait_ms <= 10_000
        assert not sizes or waited_ms < 10_000

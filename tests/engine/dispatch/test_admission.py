"""What a destination with a full queue takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.dispatch import admission
from engine.events import encode_events
from sandbox.wire import Events


def test_without_a_limit_there_is_always_room() -> None:
    assert admission.room(stored=10**12, queue_events=0) > 10**12


def test_room_is_what_is_left_and_never_negative() -> None:
    assert admission.room(stored=70, queue_events=100) == 30
    assert admission.room(stored=170, queue_events=100) == 0


def test_a_refusal_says_when_to_try_again() -> None:
    error = admission.refusal("orders", stored=100, count=50, queue_events=100, mean_us=100_000.0)
    assert error.code == "queue_full"
    assert error.data == {"stored": 100, "queue_events": 100, "retry_after_ms": 5_000}
    assert "5000 ms" in error.remedy


def test_what_never_fits_is_not_told_to_wait() -> None:
    assert (
        "fewer at once"
        in admission.refusal("orders", stored=0, count=101, queue_events=100, mean_us=None).remedy
    )


@given(count=st.integers(1, 30), place=st.integers(0, 40))
def test_what_does_not_fit_from_a_source_overflows_and_the_rest_is_kept_in_order(
    count: int, place: int
) -> None:
    events = encode_events([{"type": "track", "messageId": str(at)} for at in range(count)])
    kept, overflowed = admission.divide(events, place)
    assert len(kept.sizes if kept else ()) == min(place, count)
    assert Events.join([part for part in (kept, overflowed) if part]) == events

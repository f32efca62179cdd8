"""`rate_per_s`: over any time, no more than the rate and one burst."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.dispatch import pacing
from engine.dispatch.pacing import Bucket


def sent_within(seconds: float, rate_per_s: int, batch: int) -> int:
    """How many a destination is sent that always has work, in `batch`es."""
    bucket, now_s, sent = Bucket(at_s=0.0), 0.0, 0
    while True:
        bucket = pacing.fill(bucket, rate_per_s=rate_per_s, now_s=now_s)
        wait_s = pacing.wait_s(bucket, rate_per_s=rate_per_s)
        if wait_s == 0:
            bucket = pacing.take(bucket, batch)
            sent += batch
        else:
            now_s += wait_s + 1e-6
            if now_s > seconds:
                return sent


@given(rate_per_s=st.integers(1, 500), batch=st.integers(1, 400))
def test_no_more_than_the_rate_is_sent_and_nearly_as_much(rate_per_s: int, batch: int) -> None:
    seconds = 4.0
    sent = sent_within(seconds, rate_per_s, batch)
    assert sent <= rate_per_s * (seconds + pacing.BURST_S) + 1 + batch
    assert sent >= rate_per_s * seconds - batch - 1


def test_what_is_idle_gathers_no_more_than_a_burst() -> None:
    bucket = pacing.fill(Bucket(at_s=0.0), rate_per_s=100, now_s=3_600.0)
    assert bucket.tokens == 10

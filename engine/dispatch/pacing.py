"""Pure: `rate_per_s` as a token bucket. What is sent takes tokens; a batch may go into debt, and is paid off later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BURST_S: Final = 0.1
"""So much of a second's tokens may gather: enough to work in frames, too little to be a burst for whoever is called."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """`tokens` there were at the monotonic time `at_s`; negative while a batch is paid off."""

    tokens: float = 0.0
    at_s: float = 0.0


def fill(bucket: Bucket, *, rate_per_s: int, now_s: float) -> Bucket:
    """The bucket as it is now."""
    most = max(1.0, rate_per_s * BURST_S)
    return Bucket(min(most, bucket.tokens + (now_s - bucket.at_s) * rate_per_s), now_s)


def take(bucket: Bucket, count: int) -> Bucket:
    """Without the tokens of `count` deliveries that are sent."""
    return Bucket(bucket.tokens - count, bucket.at_s)


def wait_s(bucket: Bucket, *, rate_per_s: int) -> float:
    """Until the next delivery may be sent; 0 if it may now."""
    return max(0.0, (1 - bucket.tokens) / rate_per_s)

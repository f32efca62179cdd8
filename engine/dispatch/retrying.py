"""Pure: how an attempt ended and what time it is → done, discarded, dead, or when to try again.

Randomized exponential backoff with full jitter: the document's "four hours with a randomized exponential backoff
after each attempt". Full jitter spreads a thousand events that failed together over the whole interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model import ATTEMPTS_MAX, COUNTED_CODES, DONE_CODES, RETRIED_CODES

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often a destination's failed deliveries are tried again."""

    first_ms: int = 1_000
    """The longest first pause; it doubles with each attempt."""
    cap_ms: int = 900_000
    """No pause is longer."""
    for_ms: int = 14_400_000
    """From acceptance; a failure after that is the last."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the deliveries: a kind of `engine.model.PART_KINDS`, and for `retry` its due time."""

    kind: str
    due_ms: int = 0


def decide(
    code: str,
    *,
    attempt: int,
    accepted_ms: int,
    now_ms: int,
    after_ms: int,
    policy: RetryPolicy,
    rng: random.Random,
) -> Verdict:
    """Judge attempt number `attempt` (from 1) that ended with `code` at `now_ms`.

    Only a failed attempt ends in dead: a delivery that merely waited too long gets its attempt first.
    `after_ms` is the earliest retry that the handler asked for (0: none).
    """
    if code in DONE_CODES:
        return Verdict("delivered" if code == "delivered" else "counted")
    if code in COUNTED_CODES:
        return Verdict("counted")
    if code not in RETRIED_CODES:
        return Verdict("discarded")
    if attempt >= ATTEMPTS_MAX.get(code, attempt + 1):
        return Verdict("dead")
    due_ms = now_ms + max(after_ms, pause_ms(attempt, policy=policy, rng=rng))
    if now_ms - accepted_ms >= policy.for_ms or due_ms - accepted_ms > policy.for_ms + policy.cap_ms:
        return Verdict("dead")
    return Verdict("retry", due_ms)


def pause_ms(attempt: int, *, policy: RetryPolicy, rng: random.Random) -> int:
    """Milliseconds to wait after attempt number `attempt`: at least half a first pause, then up to twice as long each time."""
    if attempt <= 1:
        return policy.first_ms
    longest = min(policy.cap_ms, policy.first_ms * 2 ** min(attempt - 1, 32))
    return rng.randint(policy.first_ms // 2, longest)

"""Pure: how an attempt ended and what time it is → done, discarded, dead, or when to try again.

The document: "retried for up to four hours with a randomized exponential backoff after each attempt". The backoff has
full jitter: a thousand events that failed together come back spread over the whole pause, and not as one.

    attempt    1          2          3          …  11 and later
    pause      0.5-1.5 s  0.5-3 s    0.5-6 s    …  0.5-900 s
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model import OUTCOMES

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from engine.model import Limits, Stop


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the deliveries: a kind of `engine.model.PART_KINDS`, and for `retry` its due time."""

    kind: str
    due_ms: int = 0


def decide(
    code: str, *, attempt: int, age_ms: int, now_ms: int, after_ms: int, limits: Limits, rng: random.Random
) -> Verdict:
    """Judge attempt number `attempt` (from 1) that ended with `code` at `now_ms`.

    Only a failed attempt ends in dead: a delivery that merely waited too long gets its attempt first. `age_ms` is
    `age_of` the delivery. `after_ms` is the pause that the handler asked for (0: none): it may be longer than the
    backoff, not shorter, and nothing is put off beyond the time that a destination's retries may take.
    """
    treatment = OUTCOMES[code]
    if treatment.kind != "retry":
        return Verdict(treatment.kind)
    left_ms = limits.retry_for_s * 1000 - age_ms
    if left_ms <= 0 or 0 < treatment.attempts_max <= attempt:
        return Verdict("dead")
    pause = pause_ms(attempt, limits=limits, rng=rng)
    return Verdict("retry", now_ms + max(min(max(pause, after_ms), left_ms), shortest_ms(limits)))


def pause_ms(attempt: int, *, limits: Limits, rng: random.Random) -> int:
    """Milliseconds to wait after attempt number `attempt`: about `retry_first_ms`, then up to twice as long each time."""
    shortest = shortest_ms(limits)
    longest = min(limits.retry_cap_ms, limits.retry_first_ms * 3 * 2 ** min(attempt - 1, 32) // 2)
    return rng.randint(shortest, max(shortest, longest))


def shortest_ms(limits: Limits) -> int:
    """No pause is shorter, so that nothing fails again at once."""
    return limits.retry_first_ms // 2


def age_of(accepted_ms: int, now_ms: int, stops: Iterable[Stop]) -> int:
    """How long a delivery's time for retries has run: since acceptance, without the time its destination was stopped by hand."""
    age_ms = now_ms - accepted_ms
    for stop in stops:
        until_ms = now_ms if stop.until_ms is None else min(stop.until_ms, now_ms)
        age_ms -= max(0, until_ms - max(stop.since_ms, accepted_ms))
    return max(0, age_ms)

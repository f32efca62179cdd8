"""Which value of a setting to choose, by what was measured of each. Pure.

A value is chosen over the default only if its figure is better beyond noise (the test of `suite/comparing.py`, and at
least `GAIN_MIN`), and the figure that it must not harm isn't worse beyond noise. Of several, the one with the best median. Otherwise
the default stays: a setting that needs no reason is the one that everybody else has tried.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from benchmarks.suite.comparing import CHANCE_MAX, chance_of, smallest_chance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.suite.program import Better

GAIN_MIN: Final = 0.05
HARM_MIN: Final = 0.10
"""A guard that is so much worse, beyond noise, forbids the value."""

Verdict: TypeAlias = Literal["default", "better", "worse", "within noise", "harms"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one value: its figure in each round, and what it must not harm, if there is such a thing."""

    figure: tuple[float, ...]
    guard: tuple[float, ...] = ()
    """Less is better."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Of one value."""

    value: int
    seen: Seen
    gain: float
    """Of the figure's median, as a share; above 0 is better."""
    chance: float
    """How often noise alone would look like this."""
    verdict: Verdict


def judge(seen: Mapping[int, Seen], default: int, better: Better) -> list[Judged]:
    """Every value against the default, which is among them."""
    return [_judged(value, one, seen[default], better, value == default) for value, one in seen.items()]


def _judged(value: int, seen: Seen, base: Seen, better: Better, is_default: bool) -> Judged:
    factor = statistics.median(seen.figure) / statistics.median(base.figure)
    gain = factor - 1 if better == "more" else 1 / factor - 1
    chance = chance_of(base.figure, seen.figure)
    if is_default:
        return Judged(value, seen, 0.0, 1.0, "default")
    is_sure = _is_sure(base.figure, seen.figure)
    verdict: Verdict = "within noise"
    if is_sure and gain <= -GAIN_MIN:
        verdict = "worse"
    elif is_sure and gain >= GAIN_MIN:
        verdict = "harms" if _harms(base.guard, seen.guard) else "better"
    return Judged(value, seen, gain, chance, verdict)


def _harms(base: Sequence[float], seen: Sequence[float]) -> bool:
    if not base or not seen:
        return False
    more = statistics.median(seen) / statistics.median(base) - 1
    return more >= HARM_MIN and _is_sure(base, seen)


def _is_sure(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    return smallest_chance(len(ours), len(theirs)) <= CHANCE_MAX and chance_of(ours, theirs) <= CHANCE_MAX


def choose(judged: Sequence[Judged]) -> Judged:
    """The best of those that are better; else the default."""
    better = [one for one in judged if one.verdict == "better"]
    if better:
        return max(better, key=lambda one: one.gain)
    return next(one for one in judged if one.verdict == "default")

"""What changed between two results beyond noise. Pure.

The test is the exact permutation test on ranks (Wilcoxon, Mann and Whitney): if both sides had been drawn from one pot,
how many of all ways to deal their runs into two hands would be as lopsided as this one? It assumes nothing of the
shape of the noise. A change is told if that share is at most `CHANCE_MAX` and the medians are at least `CHANGE_MIN` apart.
Fewer than five runs a side can't be told from chance, and are called so.

Figures with a baseline are compared by their ratios: the machine may have been faster on the one day than on the other.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.suite.figures import Figure

CHANCE_MAX: Final = 0.02
"""How often a figure that didn't change is told as changed."""
CHANGE_MIN: Final = 0.03
"""Less isn't worth telling, however sure it is."""
WAYS_MAX: Final = 20_000
"""So many ways to deal are all tried; of more, as many are drawn."""
SEED: Final = 1

Verdict: TypeAlias = Literal["better", "worse", "the same", "too few runs", "only in one"]


@dataclass(frozen=True, slots=True)
class Change:
    """Of one figure."""

    name: str
    unit: str
    before: float | None
    after: float | None
    factor: float | None
    """After by before: of the ratios to the baseline, where there are any."""
    chance: float | None
    """How often noise alone would look like this."""
    verdict: Verdict
    by_ratio: bool


def compare(before: Sequence[Figure], after: Sequence[Figure]) -> list[Change]:
    """A change for each figure that either has, in the order of the second, then those that only the first has."""
    old = {figure.measure.name: figure for figure in before if figure.values}
    new = {figure.measure.name: figure for figure in after if figure.values}
    changes = [_change(old.get(name), figure) for name, figure in new.items()]
    return changes + [_change(figure, None) for name, figure in old.items() if name not in new]


def _change(before: Figure | None, after: Figure | None) -> Change:
    if before is None or after is None:
        only = before or after
        assert only is not None
        was, now = before.median if before else None, after.median if after else None
        return Change(
            only.measure.name, only.measure.unit, was, now, None, None, "only in one", by_ratio=False
        )
    by_ratio = bool(before.ratios and after.ratios) and before.measure.baseline == after.measure.baseline
    ours = before.ratios if by_ratio else before.values
    theirs = after.ratios if by_ratio else after.values
    middle = statistics.median(ours)
    factor = statistics.median(theirs) / middle if middle else None
    chance = chance_of(ours, theirs)
    return Change(
        after.measure.name,
        after.measure.unit,
        before.median,
        after.median,
        factor,
        chance,
        _verdict(len(ours), len(theirs), factor, chance, is_more_better=after.measure.better == "more"),
        by_ratio,
    )


def _verdict(ours: int, theirs: int, factor: float | None, chance: float, *, is_more_better: bool) -> Verdict:
    if smallest_chance(ours, theirs) > CHANCE_MAX:
        return "too few runs"
    if factor is None or chance > CHANCE_MAX or abs(math.log(max(factor, 1e-9))) < math.log1p(CHANGE_MIN):
        return "the same"
    return "better" if (factor > 1) == is_more_better else "worse"


def smallest_chance(ours: int, theirs: int) -> float:
    """What two samples of these sizes can't go below, however far apart they are."""
    return min(1.0, 2 / math.comb(ours + theirs, ours))


def chance_of(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided: how often dealing all runs at random is as lopsided as they are."""
    ranks = _ranks([*ours, *theirs])
    expected = sum(ranks) * len(ours) / len(ranks)
    seen = abs(sum(ranks[: len(ours)]) - expected) - 1e-9
    if math.comb(len(ranks), len(ours)) <= WAYS_MAX:
        hands = list(itertools.combinations(ranks, len(ours)))
        return sum(abs(sum(hand) - expected) >= seen for hand in hands) / len(hands)
    # The same answer each time: two people who compare the same results are told the same.
    drawn = random.Random(SEED)
    hits = sum(abs(sum(drawn.sample(ranks, len(ours))) - expected) >= seen for _ in range(WAYS_MAX))
    return (hits + 1) / (WAYS_MAX + 1)


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values share the middle of theirs."""
    ordered = sorted(values)
    first: dict[float, int] = {}
    for at, value in enumerate(ordered):
        first.setdefault(value, at)
    return [first[value] + (1 + ordered.count(value)) / 2 for value in values]

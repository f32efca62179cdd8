"""Figures and changes as lines for a terminal, with bars. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.suite.comparing import Change
    from benchmarks.suite.figures import Figure

BAR_WIDTH: Final = 20
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def number(value: float) -> str:
    """Four figures, and no more than it takes."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A share of 0 to 1 of the width, in eighths of a column; what is beyond is cut."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    whole, part = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[part] if part else "")).ljust(width)


def figure_lines(figures: Sequence[Figure]) -> list[str]:
    """A line a figure of one program; bars compare figures of one unit with each other."""
    most: dict[str, float] = {}
    for figure in figures:
        if figure.values:
            unit = figure.measure.unit
            most[unit] = max(most.get(unit, 0.0), figure.median)
    wide = max((len(figure.measure.name) for figure in figures), default=0)
    return [_figure_line(figure, most, max(wide, 26)) for figure in figures]


def _figure_line(figure: Figure, most: dict[str, float], wide: int) -> str:
    measure = figure.measure
    if not figure.values:
        return f"{measure.name:{wide}} skipped: {figure.skipped}"
    drawn = bar(figure.median / most[measure.unit] if most[measure.unit] > 0 else 0.0)
    spread = f"{number(min(figure.values))} to {number(max(figure.values))}, {len(figure.values)} runs"
    ratio = f"  {figure.ratio:.3f} of {measure.baseline}" if figure.ratio is not None else ""
    return f"{measure.name:{wide}} {number(figure.median):>10} {measure.unit:10} {drawn} {spread}{ratio}"


def change_lines(changes: Sequence[Change], *, chance_max: float) -> list[str]:
    """A line a change, then what to make of them."""
    wide = max((len(change.name) for change in changes), default=0)
    lines = [_change_line(change, wide) for change in changes]
    judged = [change for change in changes if change.chance is not None]
    changed = sum(change.verdict in {"better", "worse"} for change in judged)
    lines.append("")
    lines.append(
        f"{changed} of {len(judged)} figures changed beyond noise; of figures that didn't change, about one in"
        f" {round(1 / chance_max)} is told as changed by chance."
    )
    return lines


def _change_line(change: Change, wide: int) -> str:
    before = number(change.before) if change.before is not None else "-"
    after = number(change.after) if change.after is not None else "-"
    factor = f"{change.factor:.3f} of it" if change.factor is not None else ""
    of_ratios = " of ratios" if change.by_ratio else ""
    chance = f" (chance {change.chance:.3f}{of_ratios})" if change.chance is not None else ""
    return f"{change.name:{wide}} {before:>10} → {after:>10} {change.unit:10} {factor:11} {change.verdict}{chance}"

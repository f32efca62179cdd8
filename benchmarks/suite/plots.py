"""Plots as inline SVG: bars with their spread, curves of latency. Pure; colours are classes that the page's style fills."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.suite.summary import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LABEL_WIDTH: Final = 230
PLOT_WIDTH: Final = 420
VALUE_WIDTH: Final = 170
ROW_HEIGHT: Final = 22
BAR_HEIGHT: Final = 12
CURVE_HEIGHT: Final = 260
CURVE_LEFT: Final = 60
COLOURS: Final = 6
"""Classes `c0` to `c5`, in turn."""
PERCENTS: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)


class Bar(NamedTuple):
    """A row of a chart: the median is the bar, each run a dot, the extremes a line."""

    label: str
    median: float
    values: Sequence[float]
    text: str
    """Beside the bar."""


def bars(rows: Sequence[Bar]) -> str:
    """One chart of what has one unit, from zero on."""
    most = max((max(row.values) for row in rows), default=0.0) or 1.0
    height = ROW_HEIGHT * len(rows) + 4
    width = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH
    drawn = "".join(_bar(row, at, most) for at, row in enumerate(rows))
    title = escape(", ".join(row.label for row in rows))
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{drawn}</svg>'


def _bar(row: Bar, at: int, most: float) -> str:
    middle = ROW_HEIGHT * at + ROW_HEIGHT / 2 + 2

    def x(value: float) -> float:
        return round(LABEL_WIDTH + max(0.0, value) / most * (PLOT_WIDTH - 8), 1)

    low, high = x(min(row.values)), x(max(row.values))
    dots = "".join(f'<circle class="run" cx="{x(value)}" cy="{middle}" r="2"/>' for value in row.values)
    return (
        f'<text class="label" x="{LABEL_WIDTH - 8}" y="{middle + 4}" text-anchor="end">{escape(row.label)}</text>'
        f'<rect class="bar" x="{LABEL_WIDTH}" y="{middle - BAR_HEIGHT / 2}"'
        f' width="{round(x(row.median) - LABEL_WIDTH, 1)}" height="{BAR_HEIGHT}" rx="2"/>'
        f'<line class="spread" x1="{low}" y1="{middle}" x2="{high}" y2="{middle}"/>{dots}'
        f'<text x="{high + 8}" y="{middle + 4}">{escape(row.text)}</text>'
    )


def curves(lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Latency by percentile, both axes logarithmic: {name: [(percent, milliseconds)]}, of at least one sample each."""
    values = [ms for line in lines.values() for _, ms in line if ms > 0]
    low = 10 ** math.floor(math.log10(min(values)))
    high = 10 ** math.ceil(math.log10(max(values) * 1.0001))
    width = CURVE_LEFT + PLOT_WIDTH + LABEL_WIDTH

    def x(percent: float) -> float:
        nines = min(4.0, -math.log10(max(1e-4, 1 - percent / 100)))
        return round(CURVE_LEFT + nines / 4 * PLOT_WIDTH, 1)

    def y(ms: float) -> float:
        share = math.log10(max(ms, low) / low) / math.log10(high / low)
        return round(12 + (1 - share) * (CURVE_HEIGHT - 40), 1)

    parts = []
    for percent in PERCENTS:
        parts.append(
            f'<line class="grid" x1="{x(percent)}" y1="12" x2="{x(percent)}" y2="{CURVE_HEIGHT - 28}"/>'
        )
        parts.append(
            f'<text x="{x(percent)}" y="{CURVE_HEIGHT - 10}" text-anchor="middle">p{percent:g}</text>'
        )
    power = low
    while power <= high * 1.0001:
        parts.append(
            f'<line class="grid" x1="{CURVE_LEFT}" y1="{y(power)}" x2="{CURVE_LEFT + PLOT_WIDTH}" y2="{y(power)}"/>'
        )
        parts.append(f'<text x="{CURVE_LEFT - 6}" y="{y(power) + 4}" text-anchor="end">{power:g} ms</text>')
        power *= 10
    for at, (name, line) in enumerate(lines.items()):
        points = " ".join(f"{x(percent)},{y(ms)}" for percent, ms in line)
        colour = f"c{at % COLOURS}"
        parts.append(f'<polyline class="curve {colour}" points="{points}"/>')
        top = 24 + at * 18
        left = CURVE_LEFT + PLOT_WIDTH + 16
        parts.append(
            f'<line class="curve {colour}" x1="{left}" y1="{top - 4}" x2="{left + 18}" y2="{top - 4}"/>'
        )
        median = next(ms for percent, ms in line if percent >= PERCENTS[1])
        parts.append(f'<text x="{left + 24}" y="{top}">{escape(name)}: p50 {number(median)} ms</text>')
    label = escape(f"latency by percentile of {', '.join(lines)}")
    return f'<svg viewBox="0 0 {width} {CURVE_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'

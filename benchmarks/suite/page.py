"""A result as one HTML file: tables, and plots as inline SVG. Loads nothing, runs nothing; light or dark as its reader likes."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Final

from benchmarks.suite import plots
from benchmarks.suite.latencies import Latencies
from benchmarks.suite.summary import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.suite.figures import Figure
    from benchmarks.suite.results import Result

CURVE_PERCENTS: Final = (0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99)
STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60656c; --line: #d9dce1; --ground: #fcfcfd; --fill: #7aa5e8;
  --c0: #2f6fd0; --c1: #c2571a; --c2: #2b8a3e; --c3: #9c36b5; --c4: #b08900; --c5: #0b7285; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9ba1a8; --line: #33373d; --ground: #16181b;
  --fill: #3a62a3; --c0: #74a8ff; --c1: #ff9d5c; --c2: #6fd083; --c3: #dc8cf0; --c4: #e8c04a; --c5: #5cc8d8; } }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.5rem; font-size: 1.15rem; border-bottom: 1px solid var(--line); }
p.method { color: var(--soft); white-space: pre-line; max-width: 46rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
svg { display: block; width: 100%; margin: 0.8rem 0; } svg text { fill: var(--ink); font-size: 12px; }
.bar { fill: var(--fill); } .spread { stroke: var(--ink); } .run { fill: var(--ink); } .grid { stroke: var(--line); }
.curve { fill: none; stroke-width: 2; } .c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); }
.c3 { stroke: var(--c3); } .c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); }
"""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(result: Result, methods: Mapping[str, str]) -> str:
    """The file's text. `methods` has how each program measures, by its name."""
    parts = [
        f"<h1>Benchmarks of {escape(result.made)}</h1>",
        _table(["", ""], [[escape(name), escape(value)] for name, value in result.machine.items()]),
        f"<p>{escape(_asked(result))}</p>",
    ]
    for name, figures in groupby(result.figures, key=lambda figure: figure.program):
        parts.append(_section(name, list(figures), methods.get(name, "")))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>Benchmarks</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _asked(result: Result) -> str:
    runs = f"{result.options.get('runs', '?')} runs of each program, each in a fresh process; medians, and ratios in the same run."
    return (
        "Smoke: this shows only that the programs work; the figures mean nothing."
        if result.options.get("smoke")
        else runs
    )


def _section(name: str, figures: Sequence[Figure], method: str) -> str:
    lines = {
        figure.measure.name.rpartition("_")[0]: _curve(figure.histogram)
        for figure in figures
        if figure.histogram
    }
    parts = [f'<h2 id="{escape(name)}">{escape(name)}</h2><p class="method">{escape(method)}</p>']
    if lines:
        parts.append(plots.curves(lines))
    shown = [figure for figure in figures if figure.values]
    for unit in dict.fromkeys(figure.measure.unit for figure in shown):
        rows = [_bar(figure) for figure in shown if figure.measure.unit == unit]
        if len(rows) > 1:
            parts.append(plots.bars(rows))
    parts.append(
        _table(
            ["figure", "median", "unit", "deviation", "least", "most", "runs", "ratio", "to"],
            [_row(figure) for figure in figures],
        )
    )
    return f"<section>{''.join(parts)}</section>"


def _bar(figure: Figure) -> plots.Bar:
    ratio = f" ({figure.ratio:.2f} of {figure.measure.baseline})" if figure.ratio is not None else ""
    return plots.Bar(figure.measure.name, figure.median, figure.values, f"{number(figure.median)}{ratio}")


def _curve(histogram: str) -> list[tuple[float, float]]:
    latencies = Latencies.decoded(histogram)
    return [(percent, latencies.percentile_ms(percent)) for percent in CURVE_PERCENTS]


def _row(figure: Figure) -> list[str]:
    measure = figure.measure
    if not figure.values:
        return [escape(measure.name), f"skipped: {escape(figure.skipped)}", *[""] * 7]
    return [
        escape(measure.name),
        number(figure.median),
        escape(measure.unit),
        number(figure.deviation),
        number(min(figure.values)),
        number(max(figure.values)),
        str(len(figure.values)),
        f"{figure.ratio:.3f}" if figure.ratio is not None else "",
        escape(measure.baseline) if figure.ratio is not None else "",
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Of cells that are escaped already."""
    head = "".join(f"<th>{head}</th>" for head in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

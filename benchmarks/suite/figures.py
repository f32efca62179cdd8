"""A figure: what several runs gave for one measure; median, spread and ratio. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from benchmarks.suite.program import FLOOR, PERCENTILES, Measure, Skipped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.suite.program import Program


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave."""

    values: Mapping[str, float]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Measure → why it wasn't measured."""
    histograms: Mapping[str, str] = field(default_factory=dict)
    """Name of latencies → their histogram, encoded."""
    floor: float | None = None
    """Measured just before; None if no measure of the program refers to it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Of one measure: a value a run, in the order of the runs, and the ratio to its baseline in the same run."""

    program: str
    measure: Measure
    values: tuple[float, ...]
    ratios: tuple[float, ...] = ()
    histogram: str = ""
    """Of all runs together, encoded; of the first percentile of latencies only."""
    skipped: str = ""
    """Why there is no value."""

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    @property
    def deviation(self) -> float:
        """Median absolute deviation: half of the runs are no further from the median."""
        middle = self.median
        return statistics.median(abs(value - middle) for value in self.values)

    @property
    def ratio(self) -> float | None:
        """The middle of the ratios; each is of two numbers of one run, so that a machine that slows down slows both."""
        return statistics.median(self.ratios) if self.ratios else None

    def as_map(self) -> dict[str, Any]:
        """For JSON; `of_map` reads it. What can be computed of the values is there too, for other programs."""
        shown: dict[str, Any] = {
            "program": self.program,
            "name": self.measure.name,
            "unit": self.measure.unit,
            "better": self.measure.better,
            "baseline": self.measure.baseline,
            "runs": len(self.values),
            "values": list(self.values),
            "ratios": list(self.ratios),
        }
        if self.values:
            shown |= {
                "median": self.median,
                "deviation": self.deviation,
                "min": min(self.values),
                "max": max(self.values),
                "ratio": self.ratio,
            }
        if self.histogram:
            shown["histogram"] = self.histogram
        if self.skipped:
            shown["skipped"] = self.skipped
        return shown

    @classmethod
    def of_map(cls, shown: Mapping[str, Any]) -> Self:
        """What `as_map` made. Raises `KeyError` if something is missing."""
        return cls(
            shown["program"],
            Measure(shown["name"], shown["unit"], shown["better"], shown["baseline"]),
            tuple(shown["values"]),
            tuple(shown["ratios"]),
            shown.get("histogram", ""),
            shown.get("skipped", ""),
        )


def figures_of(name: str, program: Program, runs: Sequence[Run]) -> list[Figure]:
    """A figure for each of the program's measures. Raises `KeyError` if a run lacks one, or gives one that isn't among them."""
    known = {measure.name for measure in program.measures}
    if strange := {key for run in runs for key in (*run.values, *run.skipped)} - known:
        raise KeyError(f"{name} gave {', '.join(sorted(strange))}, of which it has no measure")
    return [_figure(name, measure, runs) for measure in program.measures]


def _figure(program: str, measure: Measure, runs: Sequence[Run]) -> Figure:
    reasons = [run.skipped[measure.name] for run in runs if measure.name in run.skipped]
    if reasons:
        return Figure(program, measure, (), skipped=reasons[0])
    values = tuple(run.values[measure.name] for run in runs)
    bases = [run.floor if measure.baseline == FLOOR else run.values.get(measure.baseline) for run in runs]
    ratios = tuple(value / base for value, base in zip(values, bases, strict=True) if base)
    latencies, _, label = measure.name.rpartition("_")
    is_first = label == next(iter(PERCENTILES))
    encoded = [run.histograms[latencies] for run in runs if is_first and latencies in run.histograms]
    return Figure(program, measure, values, ratios, _together(encoded))


def _together(encoded: Sequence[str]) -> str:
    if not encoded:
        return ""
    from benchmarks.suite.latencies import Latencies  # noqa: PLC0415  compares and pages need no histogram

    total = Latencies()
    for one in encoded:
        total.add(Latencies.decoded(one))
    return total.encoded()


def run_of(measured: Mapping[str, Any], *, floor: float | None = None) -> Run:
    """What a program returned, with latencies as their percentiles."""
    values: dict[str, float] = {}
    skipped: dict[str, str] = {}
    histograms: dict[str, str] = {}
    for name, value in measured.items():
        if isinstance(value, Skipped):
            skipped[name] = value.reason
        elif isinstance(value, int | float):
            values[name] = float(value)
        else:
            histograms[name] = value.encoded()
            for label, percent in PERCENTILES.items():
                values[f"{name}_{label}"] = value.percentile_ms(percent)
    return Run(values, skipped, histograms, floor)

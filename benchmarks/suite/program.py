"""What a program of the suite is: the numbers it gives, and how one run of it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.suite.latencies import Latencies

Better: TypeAlias = Literal["more", "less"]
Choice = TypeVar("Choice")
FLOOR: Final = "floor"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that a program gives a run."""

    name: str
    unit: str
    better: Better = "more"
    baseline: str = ""
    """What its ratio is to: `floor`, measured just before the run, or another number of the same run."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A number that this machine can't give, and why, with what would help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of one run."""

    is_smoke: bool = False
    """Only to see that the program works: as little as shows it."""
    socket: str = ""
    """A daemon that runs already, to be measured; otherwise the program starts one."""

    def pick(self, full: Choice, smoke: Choice) -> Choice:
        """How much: `full` for a figure, `smoke` to see that it works."""
        return smoke if self.is_smoke else full


@dataclass(frozen=True, slots=True)
class Program:
    """One program of the suite. Its module's docstring is the method."""

    measures: tuple[Measure, ...]
    run: Callable[[Conditions], Mapping[str, float | Skipped | Latencies]]
    """One run, in a process of its own: what was measured by name of its measure; latencies by the name that
    theirs begin with."""
    warm_up: str
    """What is done and not counted, before each run."""
    runs_share: float = 1.0
    """Of the runs that were asked for; less for those that take minutes. One at least."""
    may_use_running: bool = False
    """It can measure a daemon that is there already, and leaves it as it was."""

    def runs(self, asked: int) -> int:
        """How many runs of it are made when so many were asked for."""
        return max(1, round(asked * self.runs_share))


PERCENTILES: Final = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
"""What is shown of latencies."""


def latency_measures(*names: str, baseline: str = "") -> tuple[Measure, ...]:
    """A measure for each percentile of the latencies of these names, in milliseconds.

    With `baseline`, latencies too, the ratio is to the same percentile of those.
    """
    return tuple(
        Measure(f"{name}_{label}", "ms", "less", f"{baseline}_{label}" if baseline else "")
        for name in names
        for label in PERCENTILES
    )

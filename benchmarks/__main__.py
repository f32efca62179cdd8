"""`python -m benchmarks [NAME…] [--json] [--runs N]`: figures with median, extremes and ratio to the floor."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.harness import Figure

NAMES = (
    "floor",
    "throughput",
    "cold_start",
    "isolation_cost",
    "memory_per_worker",
    "records",
    "routing",
    "journal",
    "dedupe",
    "retry_storm",
    "backlog",
    "fairness",
    "fetch",
)


def main() -> int:
    """Run the figures that were named, or all; `floor` always, for the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; none means all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--runs", type=int, default=5, help="runs of each figure (default 5)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown or arguments.runs < 1:
        parser.error(
            f"no figure {', '.join(unknown)}; there are {', '.join(NAMES)}"
            if unknown
            else "--runs is at least 1"
        )
    chosen = [name for name in NAMES if not arguments.names or name in arguments.names]
    figures: list[Figure] = []
    floor: float | None = None
    for name in dict.fromkeys(["floor", *chosen]):
        measured = importlib.import_module(f"benchmarks.{name}").measure(floor, arguments.runs)
        if name == "floor":
            floor = measured[0].value
        figures += measured
        if not arguments.json:
            for item in measured:
                _print(item)
    if arguments.json:
        json.dump({"figures": [item.as_map() for item in figures]}, sys.stdout)
        print()
    return 0


def _print(item: Figure) -> None:
    ratio = f"{item.ratio_to_floor:6.3f} of floor" if item.ratio_to_floor is not None else ""
    print(
        f"{item.name:20} {item.value:>12,.2f} {item.unit:9} min {item.min:,.2f} max {item.max:,.2f}"
        f" of {item.runs} runs  {ratio}".rstrip(),
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())

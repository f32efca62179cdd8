"""The programs of the suite, in the order in which they run."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from benchmarks.suite.program import Program

NAMES: Final = (
    "floor",
    "throughput",
    "event_size",
    "handlers",
    "workers",
    "latency",
    "stages",
    "cold_start",
    "start",
    "destinations",
    "churn",
    "scaling",
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
    "gateway",
    "peers",
)


def program(name: str) -> Program:
    """Of a name in `NAMES`."""
    return cast("Program", importlib.import_module(f"benchmarks.{name}").PROGRAM)


def method(name: str) -> str:
    """How it measures: the docstring of its module, without the name that it begins with."""
    text = inspect.getdoc(importlib.import_module(f"benchmarks.{name}")) or ""
    return text.removeprefix(f"`{name}`: ")

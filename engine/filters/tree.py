"""A filter as data: rules, each an action with the condition under which it is taken.

Conditions look at the event as it came; a path that leads nowhere is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str, ...]
"""`properties.items.0.sku`: keys of maps, and places in lists."""
Literal: TypeAlias = str | int | float | bool | None

OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "contains", "match")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path operator literal`."""

    path: Path
    operator: str
    value: Literal


@dataclass(frozen=True, slots=True)
class Exists:
    """The path leads to something other than null."""

    path: Path


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class All:
    """`and` of two or more."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """`or` of two or more."""

    operands: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Exists | Not | All | Some


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with events for which the condition holds (all, if there is none).

    `keep` drops the others; `drop` drops these; `sample` keeps `share_ppm` millionths of these; `allow` and `remove`
    change properties.
    """

    action: str
    condition: Condition | None
    share_ppm: int = 0
    paths: tuple[Path, ...] = ()

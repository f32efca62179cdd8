"""A destination's filter in its worker: whether an event reaches the handler, and which of its properties.

The program is data from the supervisor, which checked it (`engine/filters`); functions are made of it once. What it
looks at, the event, is anybody's: values are compared by exact type, and nothing of theirs is called.

| operator      | holds if                                                                         |
| ------------- | -------------------------------------------------------------------------------- |
| `=`           | same type (numbers are one type, booleans another) and equal; null is also what isn't there |
| `!=`          | not `=`                                                                          |
| `<` … `>=`    | two numbers, or two texts (by code point)                                        |
| `contains`    | a text that has this text in it; a list with an item that is `=`                  |
| `match`       | a text that is all of what the pattern (of a glob, see `engine/filters/globs.py`) describes |
| `exists`      | anything but null                                                                |
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Final

import msgpack

from sandbox.wire import sample_position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Condition: TypeAlias = Callable[[dict[str, Any]], bool]

_ORDERED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBERS: Final = frozenset({int, float})


class Filter:
    """A program, ready to be asked."""

    __slots__ = ("_changes", "_gates")

    def __init__(self, program: bytes) -> None:
        self._gates: list[tuple[Condition | None, str, int]] = []
        self._changes: list[tuple[Condition | None, str, dict[str, Any]]] = []
        stack: list[Condition | None] = []
        for name, *operands in msgpack.unpackb(program):
            if name in _ENDINGS:
                condition = stack.pop()
                if name in {"allow", "remove"}:
                    self._changes.append((condition, name, _tree_of(operands[0])))
                else:
                    self._gates.append((condition, name, operands[0] if operands else 0))
            else:
                stack.append(_condition(name, operands, stack))

    def passes(self, event: dict[str, Any], body: bytes) -> bool:
        """Whether the handler gets the event; if so its properties have been changed as the rules say.

        `body` is what the event was decoded from: without a message id it decides who is sampled.
        """
        for condition, name, share_ppm in self._gates:
            holds = condition is None or condition(event)
            if name == "keep":
                if not holds:
                    return False
            elif holds and (name == "drop" or not _is_sampled(event, body, share_ppm)):
                return False
        if self._changes:
            due = [
                (name, tree)
                for condition, name, tree in self._changes
                if condition is None or condition(event)
            ]
            for name, tree in due:
                (_allow if name == "allow" else _remove)(event, tree)
        return True


_ENDINGS: Final = frozenset({"keep", "drop", "sample", "allow", "remove"})


def _is_sampled(event: dict[str, Any], body: bytes, share_ppm: int) -> bool:
    message_id = event.get("messageId")
    return sample_position(message_id if type(message_id) is str else "", body) < share_ppm


# --- Conditions


def _condition(name: str, operands: list[Any], stack: list[Any]) -> Condition | None:
    """One instruction → a condition; those it joins are taken from the stack."""
    if name == "always":
        return None
    if name == "not":
        inner = stack.pop()
        return lambda event: not inner(event)
    if name in {"and", "or"}:
        count = operands[0]
        parts = tuple(stack[-count:])
        del stack[-count:]
        return _all_of(parts) if name == "and" else _any_of(parts)
    read = _reader(operands[0])
    if name == "exists":
        return lambda event: read(event) is not None
    test = _value_test(name, operands[1])
    return lambda event: test(read(event))


def _all_of(parts: Sequence[Condition]) -> Condition:
    def holds(event: dict[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110  a generator would cost twice the time
            if not part(event):
                return False
        return True

    return holds


def _any_of(parts: Sequence[Condition]) -> Condition:
    def holds(event: dict[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110  a generator would cost twice the time
            if part(event):
                return True
        return False

    return holds


def _reader(path: list[str]) -> Callable[[dict[str, Any]], Any]:
    """What a path leads to; None if it leads nowhere."""
    if len(path) == 1:
        (key,) = path
        return lambda event: event.get(key)
    steps = [(part, int(part) if part.isdecimal() else -1) for part in path]

    def read(event: dict[str, Any]) -> Any:
        value: Any = event
        for key, place in steps:
            if type(value) is dict:
                value = value.get(key)
            elif type(value) is list and 0 <= place < len(value):
                value = value[place]
            else:
                return None
        return value

    return read


def _value_test(name: str, literal: Any) -> Callable[[Any], bool]:
    """A value → whether it stands so to the literal: the table above."""
    if name == "=":
        return _equals(literal)
    if name == "!=":
        equals = _equals(literal)
        return lambda value: not equals(value)
    if name == "match":
        matches = re.compile(literal, re.DOTALL).fullmatch
        return lambda value: type(value) is str and matches(value) is not None
    if name == "contains":
        equals = _equals(literal)
        is_text = type(literal) is str

        def contains(value: Any) -> bool:
            if type(value) is str:
                return is_text and literal in value
            return type(value) is list and any(map(equals, value))

        return contains
    compare = _ORDERED[name]
    kinds = frozenset({str}) if type(literal) is str else _NUMBERS
    return lambda value: type(value) in kinds and compare(value, literal)


def _equals(literal: Any) -> Callable[[Any], bool]:
    if literal is None or type(literal) is bool:
        return lambda value: value is literal
    kinds = frozenset({str}) if type(literal) is str else _NUMBERS
    return lambda value: type(value) in kinds and value == literal


# --- Changes of properties


def _tree_of(paths: list[list[str]]) -> dict[str, Any]:
    """Paths that share their beginnings, as a tree; an empty branch stands for all below it."""
    tree: dict[str, Any] = {}
    for path in paths:
        node = tree
        for at, part in enumerate(path):
            known = node.get(part)
            if known == {} and part in node:
                break  # all of it is named already
            if at == len(path) - 1:
                node[part] = {}
            else:
                node = node.setdefault(part, {})
    return tree


def _allow(value: dict[str, Any], tree: dict[str, Any]) -> None:
    """Keep of each object that is named only what is named of it."""
    for key, branch in tree.items():
        if type(value.get(key)) is dict:
            value[key] = _only(value[key], branch)


def _only(value: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, branch in tree.items():
        if key in value:
            inner = value[key]
            if not branch:
                kept[key] = inner
            elif type(inner) is dict:
                kept[key] = _only(inner, branch)
    return kept


def _remove(value: dict[str, Any], tree: dict[str, Any]) -> None:
    """Delete what is named, in maps only."""
    for key, branch in tree.items():
        if not branch:
            value.pop(key, None)
        elif type(value.get(key)) is dict:
            _remove(value[key], branch)

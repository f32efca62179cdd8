"""What a filter can decide without an event's body: drop it now, or leave it to the worker, which knows everything.

Conditions have three answers: True, False, and None for "that's in the body". Only what is certain counts here, so
the worker, which judges every event anew, always agrees. What headers tell:

- `type`: all of it.
- `messageId`: if it isn't empty (an empty one stands for none, and for what is no text).
- `userId`: that it is *not* some text. The header's user key is `userId` or `anonymousId`, and doesn't say which.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from engine.filters.globs import pattern_of
from engine.filters.tree import All, Comparison, Exists, Not, Some
from sandbox.wire import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.filters.tree import Condition, Literal, Rule

Answer: TypeAlias = "bool | None"
Test: TypeAlias = "Callable[[str, str, str], Answer]"
"""(type, message id, user key) → answer."""

DROP, PASS, LOOK = 0, 1, 2
"""By type alone: all are dropped; all are left to the worker; it depends on the event's ids."""


@dataclass(frozen=True, slots=True)
class HeaderFilter:
    """A filter's rules, as far as headers go. Compiled once."""

    by_type: bytes
    """For `bytes.translate`: a type's place in `wire.EVENT_TYPES` → DROP, PASS or LOOK."""
    samples: bool
    """`drops` needs the event's place among the sampled."""
    _gates: tuple[tuple[str, Test, int], ...]

    def drops(self, type_index: int, message_id: str, user_key: str, position: int) -> bool:
        """The event is certain to be dropped. `position` is its `wire.sample_position`, or anything unless `samples`."""
        kind = EVENT_TYPES[type_index]
        for action, test, share_ppm in self._gates:
            answer = test(kind, message_id, user_key)
            if action == "keep":
                if answer is False:
                    return True
            elif answer and (action == "drop" or position >= share_ppm):
                return True
        return False


def header_filter(rules: Sequence[Rule]) -> HeaderFilter | None:
    """None if headers alone never drop anything."""
    gates = tuple(
        (rule.action, _test(rule.condition), rule.share_ppm)
        for rule in rules
        if rule.action in {"keep", "drop", "sample"}
    )
    table = bytearray([PASS] * 256)
    needs_ids = any(
        rule.action == "sample" or (rule.action in {"keep", "drop"} and _names_ids(rule.condition))
        for rule in rules
    )
    whole = HeaderFilter(b"", False, tuple(gate for gate in gates if gate[0] != "sample"))
    for index in range(len(EVENT_TYPES)):
        table[index] = DROP if whole.drops(index, "", "", 0) else LOOK if needs_ids else PASS
    if table.count(PASS) == len(table):
        return None
    return HeaderFilter(bytes(table), any(gate[0] == "sample" for gate in gates), gates)


def _names_ids(condition: Condition | None) -> bool:
    match condition:
        case Comparison(path) | Exists(path):
            return path in {("messageId",), ("userId",)}
        case Not(operand):
            return _names_ids(operand)
        case All(operands) | Some(operands):
            return any(map(_names_ids, operands))
        case _:
            return False


def _test(condition: Condition | None) -> Test:
    match condition:
        case Comparison(path, name, literal):
            return _comparison(path, name, literal)
        case Exists(path):
            return _exists(path)
        case Not(operand):
            return _opposite(_test(operand))
        case All(operands):
            return _joined([_test(operand) for operand in operands], decisive=False)
        case Some(operands):
            return _joined([_test(operand) for operand in operands], decisive=True)
        case _:
            return lambda _kind, _message_id, _user_key: True


def _opposite(test: Test) -> Test:
    def opposite(kind: str, message_id: str, user_key: str) -> Answer:
        answer = test(kind, message_id, user_key)
        return None if answer is None else not answer

    return opposite


def _joined(tests: Sequence[Test], *, decisive: bool) -> Test:
    """`and` is decided by one False, `or` by one True; else one that isn't known leaves all unknown."""

    def joined(kind: str, message_id: str, user_key: str) -> Answer:
        result: Answer = not decisive
        for test in tests:
            answer = test(kind, message_id, user_key)
            if answer is decisive:
                return decisive
            if answer is None:
                result = None
        return result

    return joined


def _unknown(_kind: str, _message_id: str, _user_key: str) -> Answer:
    return None


def _comparison(path: tuple[str, ...], name: str, literal: Literal) -> Test:
    if path == ("type",):
        test = _of_text(name, literal)
        return lambda kind, _message_id, _user_key: test(kind)
    if path == ("messageId",):
        test = _of_text(name, literal)
        return lambda _kind, message_id, _user_key: test(message_id) if message_id else None
    if path == ("userId",) and name in {"=", "!="} and type(literal) is str and literal:
        is_other = name == "!="
        return lambda _kind, _message_id, user_key: is_other if user_key and user_key != literal else None
    return _unknown


def _exists(path: tuple[str, ...]) -> Test:
    if path == ("type",):
        return lambda _kind, _message_id, _user_key: True
    if path == ("messageId",):
        return lambda _kind, message_id, _user_key: bool(message_id) or None
    return _unknown


_TEXT_TESTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "contains": operator.contains,
}


def _of_text(name: str, literal: Literal) -> Callable[[str], bool]:
    """A text's relation to the literal: what `sandbox/filters.py` answers for a text."""
    if type(literal) is not str:
        answer = name == "!="
        return lambda _text: answer
    if name == "match":
        matches = re.compile(pattern_of(literal), re.DOTALL).fullmatch
        return lambda text: matches(text) is not None
    test = _TEXT_TESTS[name]
    return lambda text: test(text, literal)

"""Filters as plain Python: what they mean, written as simply as can be; and strategies that make them."""

from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import strategies as st

from engine.filters.tree import All, Comparison, Condition, Exists, Literal, Not, Path, Rule, Some
from sandbox.wire import EVENT_TYPES, sample_position


def lookup(event: Any, path: Path) -> Any:
    for part in path:
        if isinstance(event, dict) and part in event:
            event = event[part]
        elif isinstance(event, list) and part.isdigit() and int(part) < len(event):
            event = event[int(part)]
        else:
            return None
    return event


def kind_of(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return repr(value)
    return "number" if isinstance(value, int | float) else type(value).__name__


def same(value: Any, literal: Literal) -> bool:
    return kind_of(value) == kind_of(literal) and value == literal


def globbed(text: str, glob: str) -> bool:
    """By recursion, star by star."""
    if not glob:
        return not text
    if glob[0] == "*":
        return any(globbed(text[at:], glob[1:]) for at in range(len(text) + 1))
    literal = glob[1] if glob[0] == "\\" and len(glob) > 1 else None
    if literal is not None:
        return text[:1] == literal and globbed(text[1:], glob[2:])
    return bool(text) and glob[0] in {"?", text[0]} and globbed(text[1:], glob[1:])


def holds(condition: Condition | None, event: dict[str, Any]) -> bool:
    match condition:
        case None:
            return True
        case Exists(path):
            return lookup(event, path) is not None
        case Not(operand):
            return not holds(operand, event)
        case All(operands):
            return all(holds(operand, event) for operand in operands)
        case Some(operands):
            return any(holds(operand, event) for operand in operands)
        case Comparison(path, operator, literal):
            return compared(lookup(event, path), operator, literal)


def compared(value: Any, operator: str, literal: Literal) -> bool:
    if operator in {"=", "!="}:
        return same(value, literal) is (operator == "=")
    if operator == "contains":
        if isinstance(value, list):
            return any(same(item, literal) for item in value)
        return isinstance(value, str) and isinstance(literal, str) and literal in value
    if operator == "match":
        return isinstance(value, str) and globbed(value, str(literal))
    if kind_of(value) != kind_of(literal) or kind_of(value) not in {"number", "str"}:
        return False
    less, equal = value < literal, value == literal
    return {"<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[operator]


def passed(rules: tuple[Rule, ...], event: dict[str, Any], body: bytes) -> dict[str, Any] | None:
    """The event as the handler gets it, or None."""
    message_id = event.get("messageId")
    position = sample_position(message_id if isinstance(message_id, str) else "", body)
    for rule in rules:
        applies = holds(rule.condition, event)
        if rule.action == "keep" and not applies:
            return None
        if applies and (rule.action == "drop" or (rule.action == "sample" and position >= rule.share_ppm)):
            return None
    changed = copy.deepcopy(event)
    for rule in rules:
        if rule.action in {"allow", "remove"} and holds(rule.condition, event):
            changed = (only if rule.action == "allow" else without)(changed, rule.paths)
    return changed


def leaves(value: Any, at: Path = ()) -> dict[Path, Any]:
    """Every path of nested maps to what lies there; an empty map is a leaf."""
    if not isinstance(value, dict) or (not value and at):
        return {at: value}
    return {path: leaf for key, item in value.items() for path, leaf in leaves(item, (*at, key)).items()}


def is_below(path: Path, of: Path) -> bool:
    return path[: len(of)] == of


def without(event: dict[str, Any], paths: tuple[Path, ...]) -> dict[str, Any]:
    result = copy.deepcopy(event)
    for path in paths:
        parent = result
        for part in path[:-1]:
            parent = parent.get(part) if isinstance(parent, dict) else None  # type: ignore[assignment]
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
    return result


def only(event: dict[str, Any], paths: tuple[Path, ...]) -> dict[str, Any]:
    """Leaf by leaf: one stays if its object isn't named, or a path that is named leads to it or above it."""
    named = {path[0] for path in paths if isinstance(event.get(path[0]), dict)}
    result: dict[str, Any] = {key: ({} if key in named else value) for key, value in event.items()}
    for path, leaf in leaves({key: event[key] for key in named}).items():
        if any(is_below(path, wanted) for wanted in paths):
            parent = result
            for part in path[:-1]:
                parent = parent.setdefault(part, {})
            parent[path[-1]] = leaf
    return result


NAMES = ("event", "total", "tags", "a", "0", "userId", "messageId", "type")
PATHS: st.SearchStrategy[Path] = st.one_of(
    st.sampled_from([("type",), ("messageId",), ("userId",), ("event",)]),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map(lambda parts: ("properties", *parts)),
)
TEXTS = st.one_of(
    st.sampled_from(["", "track", "page", "m1", "m2", "u1", "u2", "a", "ab*", "Order Completed"]),
    st.text("ab*?\\", max_size=5),
)
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2**63, -0.5]))
LITERALS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
COMPARISONS = st.one_of(
    st.builds(Comparison, PATHS, st.sampled_from(["=", "!=", "contains"]), LITERALS),
    st.builds(Comparison, PATHS, st.sampled_from(["<", "<=", ">", ">="]), st.one_of(NUMBERS, TEXTS)),
    st.builds(Comparison, PATHS, st.just("match"), TEXTS),
    st.builds(Exists, PATHS),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Some, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
GUARDS = st.one_of(st.none(), CONDITIONS)
CHANGED = st.lists(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map(lambda parts: ("properties", *parts)),
    min_size=1,
    max_size=3,
).map(tuple)
RULES: st.SearchStrategy[tuple[Rule, ...]] = st.lists(
    st.one_of(
        st.builds(Rule, st.just("keep"), CONDITIONS),
        st.builds(Rule, st.just("drop"), GUARDS),
        st.builds(Rule, st.just("sample"), GUARDS, share_ppm=st.sampled_from([0, 1, 250_000, 1_000_000])),
        st.builds(Rule, st.sampled_from(["allow", "remove"]), GUARDS, paths=CHANGED),
    ),
    max_size=4,
).map(tuple)
VALUES = st.recursive(
    LITERALS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=6,
)
EVENTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"type": st.sampled_from(EVENT_TYPES)},
    optional={
        "messageId": st.one_of(st.sampled_from(["m1", "m2", "", None, 5, True]), st.lists(TEXTS, max_size=2)),
        "userId": st.sampled_from(["u1", "u2", "", None, 5, ["u1"]]),
        "anonymousId": st.sampled_from(["u1", "anon", ""]),
        "event": TEXTS,
        "properties": VALUES,
    },
)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def written_path(path: Path) -> str:
    return ".".join(
        part if at == 0 or re.fullmatch(r"[A-Za-z_]\w*|[0-9]+", part) else quoted(part)
        for at, part in enumerate(path)
    )


def written(condition: Condition) -> str:
    match condition:
        case Comparison(path, operator, literal):
            shown = (
                quoted(literal)
                if isinstance(literal, str)
                else {True: "true", False: "false", None: "null"}.get(literal)
                if literal is None or isinstance(literal, bool)
                else repr(literal)
            )
            return f"{written_path(path)} {operator} {shown}"
        case Exists(path):
            return f"exists {written_path(path)}"
        case Not(operand):
            return f"not ({written(operand)})"
        case All(operands):
            return " and ".join(f"({written(operand)})" for operand in operands)
        case Some(operands):
            return " or ".join(f"({written(operand)})" for operand in operands)


def written_rules(rules: tuple[Rule, ...]) -> str:
    lines = []
    for rule in rules:
        guard = "" if rule.condition is None else f" if {written(rule.condition)}"
        if rule.action == "keep":
            assert rule.condition is not None
            lines.append(written(rule.condition))
        elif rule.action == "sample":
            lines.append(f"sample {rule.share_ppm / 10_000}%{guard}")
        else:
            lines.append(f"{rule.action} {', '.join(map(written_path, rule.paths))}".rstrip() + guard)
    return "\n".join(lines)

"""Rules → the program that workers run: flat data, msgpack, no code.

A list of instructions in postfix order; each is a list that begins with its name:

    ["=", path, literal] …, ["match", path, pattern], ["exists", path]  put a condition on the stack
    ["not"], ["and", n], ["or", n]                                    join the last 1, n, n of it
    ["always"]                                                        a condition that holds
    ["keep"], ["drop"], ["sample", ppm], ["allow", paths], ["remove", paths]
                                                                      end a rule: take its condition

`sandbox/filters.py` makes functions of it once, when a module is loaded.
"""

from __future__ import annotations

from typing import Any

import msgpack

from engine.filters.globs import pattern_of
from engine.filters.tree import All, Comparison, Condition, Exists, Not, Rule, Some


def program_of(rules: tuple[Rule, ...]) -> bytes:
    """The packed program; empty bytes for no rules."""
    if not rules:
        return b""
    instructions: list[list[Any]] = []
    for rule in rules:
        if rule.condition is None:
            instructions.append(["always"])
        else:
            _emit(rule.condition, instructions)
        match rule.action:
            case "sample":
                instructions.append(["sample", rule.share_ppm])
            case "allow" | "remove":
                instructions.append([rule.action, [list(path) for path in rule.paths]])
            case _:
                instructions.append([rule.action])
    packed: bytes = msgpack.packb(instructions)
    return packed


def _emit(condition: Condition, out: list[list[Any]]) -> None:
    """Depth is the parser's `DEPTH_MAX` at most."""
    match condition:
        case Comparison(path, "match", str(glob)):
            out.append(["match", list(path), pattern_of(glob)])
        case Comparison(path, operator, value):
            out.append([operator, list(path), value])
        case Exists(path):
            out.append(["exists", list(path)])
        case Not(operand):
            _emit(operand, out)
            out.append(["not"])
        case All(operands) | Some(operands):
            for operand in operands:
                _emit(operand, out)
            out.append(["and" if isinstance(condition, All) else "or", len(operands)])

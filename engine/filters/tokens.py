"""A filter's text → tokens, and the one error of the language: line, caret, remedy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

STRING_CHARS_MAX: Final = 256
_TOKEN: Final = re.compile(
    r"""
    (?P<blank>[ \t\r]+|\#[^\n]*)
  | (?P<end>[\n;])
  | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?)(?![A-Za-z_0-9.])
  | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<symbol><=|>=|!=|[=<>().,%])
    """,
    re.VERBOSE,
)
_INDEX: Final = re.compile(r"[0-9]{1,9}(?![A-Za-z_$0-9])")
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
_JOINING: Final = frozenset({"and", "or", "not", "if", ","})
INT_MIN, INT_MAX = -(2**63), 2**64 - 1
_FOREIGN: Final = {
    "==": "write = instead",
    "&&": "write `and` instead",
    "||": "write `or` instead",
    "!": "write `not` instead",
    '"': "end the text with the same quote, on the same line",
    "'": "end the text with the same quote, on the same line",
    "-": 'put a name that holds a dash in quotes: properties."my-name"',
    "*": 'use match with a text: event match "Order*"',
}


class FilterError(UsageError):
    """A filter that can't be read. `data` has line and column (from 1) and source_line."""


class Token(NamedTuple):
    """`kind` is word, string, number, index, symbol or end; `value` what it means; `at` its place in the text."""

    kind: str
    text: str
    value: str | int | float | None
    at: int


def error_at(source: str, at: int, message: str, remedy: str) -> FilterError:
    """The error at a place of the text, with its line and a caret below."""
    at = min(at, len(source))
    start = source.rfind("\n", 0, at) + 1
    stop = source.find("\n", at)
    line = source[start : stop if stop >= 0 else len(source)]
    column = at - start + 1
    number = source.count("\n", 0, at) + 1
    pad = "".join("\t" if char == "\t" else " " for char in line[: column - 1])
    return FilterError(
        f"the filter, line {number}, column {column}: {message}\n    {line}\n    {pad}^",
        remedy=remedy,
        data={"line": number, "column": column, "source_line": line, "message": message},
    )


def tokens_of(source: str) -> list[Token]:
    """All of them, `end` last; blanks, comments and newlines that end nothing are left out. Raises `FilterError`."""
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        if tokens and tokens[-1].text == "." and (index := _INDEX.match(source, at)):
            tokens.append(Token("index", index[0], index[0], at))
            at = index.end()
            continue
        found = _TOKEN.match(source, at)
        if found is None or source.startswith("==", at):
            raise _foreign(source, at)
        kind, text = found.lastgroup or "", found[0]
        if kind == "string":
            tokens.append(Token(kind, text, _unquoted(source, at, text), at))
        elif kind == "number":
            tokens.append(Token(kind, text, _number(source, at, text), at))
        elif kind != "blank":
            tokens.append(Token(kind, text, text, at))
        at = found.end()
    return [*_without_continuations(tokens), Token("end", "", None, len(source))]


def _without_continuations(tokens: list[Token]) -> Iterator[Token]:
    """A newline ends no rule within parentheses, nor beside a word that joins."""
    depth = 0
    before = ""
    for place, token in enumerate(tokens):
        if token.kind == "symbol":
            depth += (token.text == "(") - (token.text == ")")
        if token.text == "\n":
            after = next((other.text for other in tokens[place:] if other.text != "\n"), "")
            if depth > 0 or before in _JOINING or after in {"and", "or"}:
                continue
        before = token.text
        yield token


def _foreign(source: str, at: int) -> FilterError:
    for text, remedy in _FOREIGN.items():
        if source.startswith(text, at):
            return error_at(source, at, f"{text} means nothing here", remedy)
    return error_at(
        source, at, f"{source[at]!r} means nothing here", "engine/docs/functions.md shows the language"
    )


def _number(source: str, at: int, text: str) -> int | float:
    if not any(char in text for char in ".eE"):
        if len(text) > 20 or not INT_MIN <= int(text) <= INT_MAX:
            raise error_at(source, at, "the number is too large", "use one of 64 bits")
        return int(text)
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise error_at(source, at, "the number is too large", "use one below 1e308")
    return value


def _unquoted(source: str, at: int, text: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        escape = found[1]
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPES:
            raise error_at(
                source,
                at + 1 + found.start(),
                f"\\{escape} is no escape",
                r"use \" \' \\ \n \r \t or \uXXXX; in a glob write \\* for a star",
            )
        return _ESCAPES[escape]

    value = _ESCAPE.sub(replaced, text[1:-1])
    if len(value) > STRING_CHARS_MAX:
        raise error_at(
            source,
            at,
            f"the text has {len(value)} characters; {STRING_CHARS_MAX} are allowed",
            "compare with a shorter one",
        )
    return value

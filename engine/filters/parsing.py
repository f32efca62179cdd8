"""A filter's text → rules.

    filter     = rule { (newline | ";") rule }
    rule       = condition                               only these events pass
               | "drop" [ "if" condition ]
               | "sample" number "%" [ "if" condition ]
               | ("allow" | "remove") path { "," path } [ "if" condition ]
    condition  = part { "or" part }
    part       = factor { "and" factor }
    factor     = "not" factor | "(" condition ")" | "exists" path | path "exists"
               | path operator literal
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "match"
    literal    = text in quotes | number | "true" | "false" | "null"
    path       = name { "." (name | number | text in quotes) }

A newline within parentheses, or beside `and`, `or`, `not`, `if` or a comma, is a blank. Length, depth and number of parts are bounded: a filter comes from outside.
"""

from __future__ import annotations

from typing import Final

from engine.filters.tokens import FilterError, Token, error_at, tokens_of
from engine.filters.tree import OPERATORS, All, Comparison, Condition, Exists, Literal, Not, Path, Rule, Some

SOURCE_CHARS_MAX: Final = 16_384
DEPTH_MAX: Final = 32
"""Parentheses and `not` in one another."""
PARTS_MAX: Final = 500
"""Comparisons, paths and actions of a filter."""
RULES_MAX: Final = 100
PATH_PARTS_MAX: Final = 16
_WORDS: Final = {"true": True, "false": False, "null": None}
_KEYWORDS: Final = frozenset({"and", "or", "not", "exists", "contains", "match", "if", *_WORDS})
_ACTIONS: Final = frozenset({"drop", "sample", "allow", "remove"})
_KEPT: Final = frozenset({"type", "messageId"})
"""What an event can't do without."""


def parse(source: str) -> tuple[Rule, ...]:
    """The rules, in order; none for blank text. Raises `FilterError`."""
    if len(source) > SOURCE_CHARS_MAX:
        raise FilterError(
            f"the filter has {len(source)} characters; {SOURCE_CHARS_MAX} are allowed",
            remedy="write a shorter one, or decide in the function",
        )
    return _Parser(source).rules()


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokens_of(source)
        self._at = 0
        self._depth = 0
        self._parts = 0

    # --- Tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _is(self, text: str) -> bool:
        token = self._next
        return token.text == text and token.kind in {"word", "symbol"}

    def _take(self, text: str) -> bool:
        if self._is(text):
            self._at += 1
            return True
        return False

    def _skip_lines(self) -> None:
        while self._next.kind == "end" and self._next.text:
            self._at += 1

    def _fail(self, message: str, remedy: str, token: Token | None = None) -> FilterError:
        return error_at(self._source, (token or self._next).at, message, remedy)

    def _shown(self) -> str:
        return f"{self._next.text!r:.60}" if self._next.text.strip() else "the end"

    def _count(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise self._fail(f"the filter has more than {PARTS_MAX} parts", "decide in the function")

    # --- Rules

    def rules(self) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        while True:
            self._skip_lines()
            if not self._next.text:
                return tuple(rules)
            if len(rules) == RULES_MAX:
                raise self._fail(f"the filter has more than {RULES_MAX} rules", "join some with `or`")
            rules.append(self._rule())
            if self._next.kind != "end":
                raise self._fail(*self._unexpected())

    def _unexpected(self) -> tuple[str, str]:
        word = self._next.text
        if word.lower() in {"and", "or", "not", "if"} and word != word.lower():
            return f"{self._shown()} is not expected here", f"write `{word.lower()}` in small letters"
        if word in OPERATORS:
            return f"{self._shown()} is not expected here", "join comparisons with `and` or `or`"
        return (
            f"{self._shown()} is not expected here",
            "end the rule with a newline or `;`, or join with `and` or `or`",
        )

    def _rule(self) -> Rule:
        if self._next.kind != "word" or self._next.text not in _ACTIONS:
            return Rule("keep", self._condition())
        self._count()
        action = self._next
        self._at += 1
        if action.text == "sample":
            share_ppm = self._share()
            return Rule("sample", self._guard(), share_ppm=share_ppm)
        paths: tuple[Path, ...] = ()
        if action.text != "drop":
            paths = self._changed_paths(action.text)
        return Rule(action.text, self._guard(), paths=paths)

    def _guard(self) -> Condition | None:
        return self._condition() if self._take("if") else None

    def _share(self) -> int:
        token = self._next
        if token.kind != "number":
            raise self._fail(
                f"sample wants a percentage, not {self._shown()}", "write for example `sample 10%`"
            )
        self._at += 1
        assert isinstance(token.value, int | float)
        if not 0 <= token.value <= 100:
            raise self._fail("a percentage is 0 to 100", "write for example `sample 10%`", token)
        if not self._take("%"):
            raise self._fail(
                f"a percentage ends with %, not {self._shown()}", "write for example `sample 10%`"
            )
        return round(token.value * 10_000)

    def _changed_paths(self, action: str) -> tuple[Path, ...]:
        paths = []
        while True:
            token = self._next
            path = self._path()
            if len(path) == 1 and (action == "allow" or path[0] in _KEPT):
                raise self._fail(
                    f"{path[0]} can't be {'the whole of what is allowed' if action == 'allow' else 'removed'}",
                    "name what lies in it: allow properties.total"
                    if action == "allow"
                    else "handlers rely on it",
                    token,
                )
            paths.append(path)
            if not self._take(","):
                return tuple(paths)

    # --- Conditions

    def _condition(self) -> Condition:
        operands = [self._conjunction()]
        while self._take("or"):
            operands.append(self._conjunction())
        return operands[0] if len(operands) == 1 else Some(tuple(operands))

    def _conjunction(self) -> Condition:
        operands = [self._factor()]
        while self._take("and"):
            operands.append(self._factor())
        return operands[0] if len(operands) == 1 else All(tuple(operands))

    def _factor(self) -> Condition:
        if self._is("not") or self._is("("):
            return self._nested()
        self._count()
        if self._take("exists"):
            if not self._take("("):
                return Exists(self._path())
            path = self._path()
            self._close()
            return Exists(path)
        path = self._path()
        if self._take("exists"):
            return Exists(path)
        operator = self._operator()
        return Comparison(path, operator, self._literal(operator))

    def _nested(self) -> Condition:
        token = self._next
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._fail(
                f"the filter is nested more than {DEPTH_MAX} levels deep", "use fewer parentheses", token
            )
        if self._take("not"):
            condition: Condition = Not(self._factor())
        else:
            self._at += 1
            condition = self._condition()
            self._close()
        self._depth -= 1
        return condition

    def _close(self) -> None:
        if not self._take(")"):
            raise self._fail(
                f") is missing before {self._shown()}", "close what was opened, or join with `and` or `or`"
            )

    def _operator(self) -> str:
        for operator in OPERATORS:
            if self._take(operator):
                return operator
        raise self._fail(
            f"an operator is missing before {self._shown()}", f"use one of {' '.join(OPERATORS)} exists"
        )

    def _literal(self, operator: str) -> Literal:
        token = self._next
        value: Literal
        if token.kind in {"string", "number"}:
            value = token.value
        elif token.kind == "word" and token.text in _WORDS:
            value = _WORDS[token.text]
        else:
            remedy = (
                f'put text in quotes: "{token.text}"'
                if token.kind == "word"
                else "compare with text in quotes, a number, true, false or null"
            )
            raise self._fail(f"a value is missing before {self._shown()}", remedy)
        wrong = (operator == "match" and type(value) is not str) or (
            operator in {"<", "<=", ">", ">="} and (value is None or type(value) is bool)
        )
        if wrong:
            wants = "a text in quotes" if operator == "match" else "a number or a text"
            raise self._fail(
                f"{operator} wants {wants}",
                "use = or != for true, false and null"
                if operator != "match"
                else 'for example match "Order*"',
            )
        self._at += 1
        return value

    def _path(self) -> Path:
        token = self._next
        if token.kind == "string":
            raise self._fail("a field is missing before this text", 'write the field first: event = "Order"')
        if token.kind != "word" or token.text in _KEYWORDS:
            raise self._fail(
                f"a field is missing before {self._shown()}", "write for example properties.total"
            )
        self._at += 1
        parts = [token.text]
        while self._take("."):
            part = self._next
            if part.kind not in {"word", "index", "string"}:
                raise self._fail(
                    f"a name is missing before {self._shown()}", "write for example properties.total"
                )
            parts.append(str(part.value))
            self._at += 1
            if len(parts) > PATH_PARTS_MAX:
                raise self._fail(f"a path has more than {PATH_PARTS_MAX} parts", "use a shorter one", token)
        return tuple(parts)

"""What a function declares of its settings: `SETTINGS` of its source, read and never run, on the author's side."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

from engine.errors import UsageError

NAME: Final = "SETTINGS"
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def name_from_label(label: str) -> str:
    """`API Key` → `apiKey`; empty if the label has no letter or digit of ASCII, accents left out."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    words = [word.lower() for word in _WORD.findall(plain)]
    return "".join([*words[:1], *(word.capitalize() for word in words[1:])])


def declared_settings(source: str) -> list[Any] | None:
    """The value of the module's `SETTINGS = […]`; None if there is none, or the source can't be parsed (the daemon says why).

    Raises `UsageError` if it isn't written out: it is read, not run.
    """
    import ast  # noqa: PLC0415  most commands need no parser

    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if any(isinstance(target, ast.Name) and target.id == NAME for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            try:
                value = ast.literal_eval(node.value) if node.value is not None else None
            except (ValueError, TypeError, RecursionError, MemoryError):
                value = None
            if not isinstance(value, list | tuple):
                raise UsageError(
                    f"line {node.lineno}: {NAME} is not a list that is written out",
                    remedy=f'write for example {NAME} = [{{"label": "API Key", "sensitive": True}}]: it is read, not run',
                )
            return list(value)
    return None

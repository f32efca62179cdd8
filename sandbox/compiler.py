"""Source → code, or diagnostics; and code → a module's globals.

The code is opaque bytes: marshalled, and good only under the key that names this interpreter and this policy.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import marshal
import re
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox import guards, modules
from sandbox.names import USER_MODULE
from sandbox.policy import EnoughRefused, Policy
from sandbox.wire import SOURCE_BYTES_MAX

if TYPE_CHECKING:
    from types import CodeType

LINE_SHOWN_MAX: Final = 500
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
"""As Python counts lines; `str.splitlines` knows more ends."""


def _policy_key() -> str:
    digest = hashlib.sha256(importlib.util.MAGIC_NUMBER + str(sys.implementation.cache_tag).encode())
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *here.glob("wire/*.py"), *here.glob("facades/**/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


POLICY_KEY: Final = _policy_key()


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to mend. Lines and columns count from 1."""

    line: int
    column: int
    rule: str
    message: str
    remedy: str
    source_line: str

    def as_map(self) -> dict[str, Any]:
        """For the wire."""
        return asdict(self)


class CompileRefused(Exception):
    """The source doesn't compile or breaks rules: all of them at once, in order of line."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(diagnostics[0].message)
        self.diagnostics = tuple(diagnostics)


class LibrariesNeeded(Exception):
    """The source imports libraries that are allowed, and that this process hasn't loaded."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names = names


def render(diagnostic: Diagnostic, filename: str) -> str:
    """Place, message, the line with a caret, and the remedy."""
    head = f"{filename}:{diagnostic.line}:{diagnostic.column} {diagnostic.rule}: {diagnostic.message}"
    before = diagnostic.source_line[: diagnostic.column - 1]
    caret = "".join("\t" if letter == "\t" else " " for letter in before) + "^"
    return f"{head}\n    {diagnostic.source_line}\n    {caret}\n  → {diagnostic.remedy}"


def compile_source(source: str, filename: str, *, finds_libraries: bool = False) -> bytes:
    """Marshalled code of a module. Raises `CompileRefused`, and with `finds_libraries` `LibrariesNeeded`."""
    if len(source.encode("utf-8", "replace")) > SOURCE_BYTES_MAX:
        raise CompileRefused(
            [_alone("source-size", "the source is larger than 1 MiB", "keep data out of the code")]
        )
    lines = _LINE_END.split(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, filename)
            policy = Policy(finds_libraries=finds_libraries)
            with contextlib.suppress(EnoughRefused):
                tree = policy.visit(tree)
            if policy.libraries:
                raise LibrariesNeeded(policy.libraries)
            if policy.found:
                raise CompileRefused(_diagnostics(policy, lines))
            code: CodeType = compile(ast.fix_missing_locations(tree), filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        remedy = "mend the syntax here or just before"
        line, column = error.lineno or 1, max(error.offset or 1, 1)
        raise CompileRefused(
            [_at(lines, line, column, rule="syntax", message=error.msg, remedy=remedy)]
        ) from None
    except (RecursionError, MemoryError):
        raise CompileRefused(
            [_alone("nesting", "the source is nested too deeply", "break long expressions apart")]
        ) from None
    except ValueError as error:
        raise CompileRefused([_alone("syntax", str(error), "save the file as plain UTF-8 text")]) from None
    return marshal.dumps(code)


def _alone(rule: str, message: str, remedy: str) -> Diagnostic:
    return Diagnostic(1, 1, rule, message, remedy, "")


def _at(lines: list[str], line: int, column: int, *, rule: str, message: str, remedy: str) -> Diagnostic:
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    return Diagnostic(line, column, rule, message, remedy, text[:LINE_SHOWN_MAX])


def _diagnostics(policy: Policy, lines: list[str]) -> list[Diagnostic]:
    found = []
    for node, rule, message, remedy in policy.found:
        line, offset_bytes = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        column = len(text.encode("utf-8", "replace")[:offset_bytes].decode("utf-8", "ignore")) + 1
        found.append(_at(lines, line, column, rule=rule, message=message, remedy=remedy))
    return sorted(found, key=lambda item: (item.line, item.column))


def execute(code: bytes, *, scope: dict[str, object]) -> dict[str, object]:
    """Run a module's code; returns its globals. Raises whatever the module raises.

    `scope` are the injected names: they are globals, and `from engine.function import …` finds them too. Only code
    that `compile_source` made under `POLICY_KEY` may come here: marshal doesn't check what it reads.
    """
    module: dict[str, object] = {
        **scope,
        **guards.GUARDS,
        "__name__": USER_MODULE,
        "__builtins__": guards.builtins_for(modules.importer(scope), scope),
    }
    exec(marshal.loads(code), module)  # noqa: S102, S302  this is what the sandbox is for
    return module

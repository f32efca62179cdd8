"""`python -m engine.docs [--check]`: fill the generated tables of the guides, or say which are out of date."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.api.access import access_table
from engine.config import LIMIT_NAMES, settings_table
from engine.docs.equivalents import EQUIVALENTS
from engine.gateway.refusals import STATUSES
from engine.gateway.routes import PREFIX, ROUTES
from engine.metrics import metrics_table
from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE: Final = Path(__file__).parent
FILES: Final = {
    "functions.md": ("modules", "libraries", "equivalents", "limits"),
    "http.md": ("routes", "statuses"),
    "operations.md": ("access", "metrics", "settings"),
}
"""File → its generated tables."""
# A process of its own: the engine sees of the sandbox only the wire.
_WHITELIST: Final = "import json; from sandbox import modules; print(json.dumps(modules.whitelist()))"
_LIBRARIES: Final = "import json; from sandbox import modules; print(json.dumps(modules.libraries()))"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _settings() -> str:
    return _table(
        ("setting", "default", "bounds", "reload", "meaning"),
        (
            (_code(name), _code(default), bounds, reload, meaning)
            for name, default, bounds, reload, meaning in settings_table()
        ),
    )


def _limits() -> str:
    return _table(
        ("limit", "default", "bounds", "meaning"),
        (
            (_code(name), _code(default), bounds, meaning)
            for name, default, bounds, _, meaning in settings_table()
            if name in LIMIT_NAMES
        ),
    )


def _said(program: str) -> Any:
    answer = subprocess.run(  # noqa: S603  this interpreter, and a constant
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True
    )
    return json.loads(answer.stdout)


def _modules() -> str:
    return _table(
        ("module", "names", "note"),
        (
            (_code(module), " ".join(_code(name) for name in names), reason)
            for module, names, reason in _said(_WHITELIST)
        ),
    )


def _libraries() -> str:
    return _table(
        ("in `libraries`", "module", "names", "note"),
        (
            (_code(library), _code(module), " ".join(_code(name) for name in names), reason)
            for library, module, names, reason in _said(_LIBRARIES)
        ),
    )


def _equivalents() -> str:
    return _table(
        ("the document's", "there", "here", "in `libraries`", "its own SDK"),
        (
            (
                item.dependency,
                _code(item.exposed_as),
                item.here,
                " ".join(_code(name) for name in item.modules.split() if name in LIBRARIES),
                "later" if item.is_later else "",
            )
            for item in EQUIVALENTS
        ),
    )


def _metrics() -> str:
    return _table(
        ("name", "type", "labels", "meaning"),
        ((_code(name), kind, labels, meaning) for name, kind, labels, meaning in metrics_table()),
    )


def _routes() -> str:
    return _table(
        ("", "operation", "what it does"),
        (
            (
                f"`{route.method} {PREFIX}{route.path}`",
                f"`{route.operation}`{', stream' if route.is_stream else ''}",
                route.meaning,
            )
            for route in ROUTES
        ),
    )


def _statuses() -> str:
    return _table(("status", "code"), ((str(status), _code(kind.code)) for kind, status in STATUSES.items()))


def _access() -> str:
    return _table(
        ("operation", "role", "`source-admin`", "`payloads`"),
        ((_code(name), *rest) for name, *rest in access_table()),
    )


_TABLES: Final = {
    "routes": _routes,
    "statuses": _statuses,
    "access": _access,
    "equivalents": _equivalents,
    "libraries": _libraries,
    "modules": _modules,
    "limits": _limits,
    "metrics": _metrics,
    "settings": _settings,
}


def fill(text: str, name: str, table: str) -> str:
    """`text` with `table` between the markers of `name`. Raises `ValueError` if they aren't there exactly once."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the markers {begin.strip()} and {end} must be there once each, in this order")
    head, rest = text.split(begin)
    return f"{head}{begin}\n{table}\n\n{end}{rest.split(end)[1]}"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` compare them; the exit status."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m engine.docs [--check]\n")
        return 2
    stale = []
    for file, names in FILES.items():
        path = HERE / file
        before = after = path.read_text("utf-8")
        for name in names:
            after = fill(after, name, _TABLES[name]())
        if after != before:
            stale.append(file)
            if not arguments:
                path.write_text(after, "utf-8")
    for file in stale:
        sys.stdout.write(
            f"{file} {'is out of date: run python -m engine.docs' if arguments else 'written'}\n"
        )
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

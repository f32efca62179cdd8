"""`python -m engine.docs [--check]`: fill the tables of functions.md and operations.md from the code.

With `--check` nothing is written, and the exit status is 1 if a table is out of date.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Final

from engine.config import LIMIT_NAMES, settings_table

HERE: Final = Path(__file__).parent


def _modules() -> str:
    """The whitelist, asked of the sandbox in a process of its own: the engine doesn't import it."""
    question = "import json; from sandbox import modules; print(json.dumps(modules.whitelist()))"
    answer = subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-I", "-c", question], capture_output=True, text=True, check=True
    )
    rows = [
        f"| `{name}` | {reason} | {' '.join(names)} |" for name, names, reason in json.loads(answer.stdout)
    ]
    return "\n".join(["| module | note | names |", "|---|---|---|", *rows])


def _settings(*, only_limits: bool) -> str:
    rows = [
        f"| `{name}` | {default} | {bounds} | {meaning} |"
        for name, default, bounds, meaning in settings_table()
        if not only_limits or name in LIMIT_NAMES
    ]
    return "\n".join(["| name | default | bounds | meaning |", "|---|---|---|---|", *rows])


def _put(table: str, match: re.Match[str]) -> str:
    return f"{match[1]}{table}\n{match[2]}"


def main() -> int:
    """Fill or check."""
    tables = {
        ("functions.md", "modules"): _modules(),
        ("functions.md", "limits"): _settings(only_limits=True),
        ("operations.md", "settings"): _settings(only_limits=False),
    }
    is_stale = False
    for (name, mark), table in tables.items():
        path = HERE / name
        before = path.read_text("utf-8")
        after = re.sub(
            rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)",
            partial(_put, table),
            before,
            flags=re.DOTALL,
        )
        if after != before:
            is_stale = True
            if "--check" not in sys.argv:
                path.write_text(after, "utf-8")
    return 1 if is_stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())

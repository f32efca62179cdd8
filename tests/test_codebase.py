"""House rules as tests."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import nobody
import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path
    for folder in ("engine", "sandbox", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "templates" not in path.parts
)
LINES_MAX = 400
LONG_MODULES = {
    "engine/function.py": "every name that an author may import, in one place",
    "sandbox/policy.py": "a visitor for each node",
}
FUNCTION_LINES_MAX = 60


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_modules_are_short_or_say_why_not() -> None:
    long = {relative(path) for path in MODULES if len(path.read_text("utf-8").splitlines()) > LINES_MAX}
    assert long <= set(LONG_MODULES)


def test_functions_are_short() -> None:
    long = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno > FUNCTION_LINES_MAX:
                    long.add(f"{relative(path)}:{node.name}")
    assert not long


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: there is no list of committed files")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_committed_file_names_a_package_host_or_a_path_of_a_machine() -> None:
    hosts = re.compile(
        "|".join(
            ["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.org", "/wo" + "rk/", "/ro" + "ot/"]
        )
    )
    assert [relative(path) for path in committed() if hosts.search(path.read_text("utf-8", "replace"))] == []


def test_every_requirement_of_the_lock_has_a_hash() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    pinned = re.findall(
        r"(?m)^([a-z0-9_.-]+)==[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n)*)", text, re.IGNORECASE
    )
    assert len(pinned) > 20
    assert [name for name, hashes in pinned if not hashes] == []


def test_what_nobody_runs_is_there() -> None:
    assert all((ROOT / "tests" / name).exists() for name in (*nobody.BY_USER, *nobody.OF_SOURCES))


def test_the_readme_names_the_test_command_that_check_runs() -> None:
    assert "make test " in (ROOT / "README.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"(?m)^check: .*\btest\b", makefile)
    assert re.search(r"(?m)^test: .*\n\t.*tests/suite\.py$", makefile)
    for target in "setup demo serve format lint types imports test check bench".split():
        assert re.search(rf"(?m)^{target}: ", makefile)

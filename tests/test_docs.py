"""The guides say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from engine.api.table import OPERATIONS as OPERATION_TABLE
from engine.cli.main import COMMANDS
from engine.config import Config
from sandbox.compiler import compile_source

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "engine" / "docs"
OPERATIONS = DOCS / "operations.md"
GUIDES = [ROOT / "README.md", DOCS / "functions.md", OPERATIONS]
FUNCTIONS = [
    block
    for path in GUIDES
    for block in re.findall(r"(?ms)^```python\n(.*?)^```$", path.read_text("utf-8"))
    if "def on_" in block
]


def test_the_generated_tables_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.docs", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guides_have_examples() -> None:
    assert len(FUNCTIONS) >= 3


@pytest.mark.parametrize("source", FUNCTIONS)
def test_every_function_in_the_guides_compiles(source: str) -> None:
    assert compile_source(source, "function.py")


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_every_command_that_the_guides_tell_to_type_exists(path: Path) -> None:
    typed = re.findall(r"(?m)(?:^ *|`)engine ([a-z]+)", path.read_text("utf-8"))
    assert typed
    assert set(typed) <= set(COMMANDS)


@pytest.mark.parametrize("operation", OPERATION_TABLE)
def test_every_operation_is_in_the_description_of_the_protocol(operation: str) -> None:
    table = (ROOT / "engine" / "README.md").read_text("utf-8").partition("### Operations")[2]
    assert f"`{operation}`" in table


@pytest.mark.parametrize(
    "link", sorted(set(re.findall(r"\]\(([^)#]+)[)#]", (ROOT / "README.md").read_text("utf-8"))))
)
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_operators_guide(command: str) -> None:
    assert f"engine {command}" in OPERATIONS.read_text("utf-8")


@pytest.mark.parametrize("setting", [item.name for item in fields(Config)])
def test_every_setting_is_in_the_operators_guide(setting: str) -> None:
    assert f"| `{setting}` |" in OPERATIONS.read_text("utf-8")

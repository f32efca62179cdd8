"""The documentation agrees with the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.cli.main import COMMANDS
from engine.config import settings_table

DOCS = Path(__file__).parent.parent / "engine" / "docs"


def test_the_tables_are_those_of_the_code() -> None:
    assert subprocess.run([sys.executable, "-m", "engine.docs", "--check"], check=False).returncode == 0


def test_every_command_and_setting_is_in_operations() -> None:
    text = (DOCS / "operations.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"engine {name}" not in text] == []
    assert [name for name, *_ in settings_table() if f"`{name}`" not in text] == []

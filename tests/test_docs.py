"""The guides say what the code does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from engine.cli.main import COMMANDS
from engine.config import Config

OPERATIONS = Path(__file__).parent.parent / "engine" / "docs" / "operations.md"


def test_the_generated_tables_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.docs", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_operators_guide(command: str) -> None:
    assert f"engine {command}" in OPERATIONS.read_text("utf-8")


@pytest.mark.parametrize("setting", [item.name for item in fields(Config)])
def test_every_setting_is_in_the_operators_guide(setting: str) -> None:
    assert f"| `{setting}` |" in OPERATIONS.read_text("utf-8")

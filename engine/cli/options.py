"""Options that several commands take: settings and limits of a destination."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.paths import LIMIT_OPTIONS


def limits(command: Any) -> Any:
    """An option for each limit."""
    for name, help_text in reversed(LIMIT_OPTIONS):
        command = click.option(f"--{name.replace('_', '-')}", name, type=int, help=help_text)(command)
    return command


def settings(command: Any) -> Any:
    """`--set` and `--settings`."""
    command = click.option(
        "--settings", "settings_path", type=click.Path(path_type=Path), help="JSON or TOML file."
    )(command)
    return click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="VALUE is JSON if it can be read so, else text; KEY=@FILE, or KEY=- for a line of standard input.",
    )(command)

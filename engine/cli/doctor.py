"""`engine doctor`."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any, Final

import click

from engine.cli import output

TRIED_WIDTH: Final = 64


@click.command("doctor")
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="engine.toml")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def doctor_command(config_path: Path | None, is_json: bool) -> int:
    """Try the jail on this host: each layer, what was tried, what the kernel answered. Needs no daemon."""
    from engine.config import load  # noqa: PLC0415  `--help` needs none of the daemon
    from engine.daemon import examine_jail  # noqa: PLC0415  as above

    layers = examine_jail(load(config_path, {}, os.environ))
    is_holding = all(layer["state"] == "holding" for layer in layers)
    if is_json:
        output.as_json({"ok": is_holding, "layers": layers})
        return 0 if is_holding else 1
    output.table([row for layer in layers for row in _rows(layer)], ["layer", "state", "tried", "answer"])
    for layer in layers:
        if layer["state"] != "holding":
            click.echo(f"\n{layer['layer']} is {layer['state']}\n  → {output.clean(layer['remedy'])}")
    if is_holding:
        click.echo("\nEvery layer holds.")
    return 0 if is_holding else 1


def _rows(layer: dict[str, Any]) -> list[dict[str, str]]:
    """A row an answer, with all that got it; what is too long for a line goes on below."""
    by_answer: dict[tuple[str, str], list[str]] = {}
    for attempt in layer["attempts"]:
        by_answer.setdefault((attempt["state"], attempt["answer"]), []).append(attempt["tried"])
    rows = []
    for (state, answer), tried in by_answer.items():
        lines = textwrap.wrap(", ".join(tried), TRIED_WIDTH)
        rows.append({"layer": layer["layer"], "state": state, "tried": lines[0], "answer": answer})
        rows += [{"tried": line} for line in lines[1:]]
    return rows

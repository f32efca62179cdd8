"""How commands print: aligned columns for people, JSON for programs. Text from outside can't move the cursor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


def clean(value: Any) -> str:
    """One printable line."""
    text = str(value)
    return (
        text
        if text.isprintable()
        else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    )


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """A heading, then a line a row; numbers to the right."""
    cells = [[clean(row.get(column, "")) for column in columns] for row in rows]
    widths = [max([len(column), *(len(line[at]) for line in cells)]) for at, column in enumerate(columns)]
    is_number = [
        all(isinstance(row.get(column), int | float) for row in rows) and bool(rows) for column in columns
    ]
    for line in [list(columns), *cells]:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_number, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def as_json(value: Any) -> None:
    """One line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False))


def diagnostics(data: dict[str, Any], filename: str) -> None:
    """What is wrong with a function, on standard error: place, message, line with caret, remedy."""
    for item in data.get("diagnostics", []):
        click.echo(
            f"{clean(filename)}:{item['line']}:{item['column']} {item['rule']}: {clean(item['message'])}",
            err=True,
        )
        if item.get("source_line"):
            click.echo(f"    {clean(item['source_line'])}\n    {' ' * (item['column'] - 1)}^", err=True)
        click.echo(f"  → {clean(item['remedy'])}", err=True)
    if data.get("error"):
        error_lines(data["error"], filename, None)


def error_lines(error: dict[str, Any], filename: str, source: str | None) -> None:
    """An error of a function, on standard error: the author's frames, the line with a caret."""
    click.echo(
        f"{clean(error.get('type', ''))}: {clean(error.get('message', ''))}  [{clean(error.get('code', ''))}]",
        err=True,
    )
    lines = source.splitlines() if source is not None else []
    for frame in error.get("traceback") or []:
        click.echo(f"  {clean(filename)}:{frame['line']} in {clean(frame['function'])}", err=True)
        if 0 < frame["line"] <= len(lines):
            click.echo(f"      {clean(lines[frame['line'] - 1])}", err=True)
            if frame.get("column"):
                click.echo(f"      {' ' * (frame['column'] - 1)}^", err=True)


def logs(lines: Sequence[dict[str, str]], bytes_max: int = 4096) -> None:
    """Console lines, cut at `bytes_max`, which is said."""
    shown = 0
    for line in lines:
        text = f"  {line['level']:5} {clean(line['message'])}"
        shown += len(text.encode())
        if shown > bytes_max:
            click.echo(f"  … console output is cut at {bytes_max} bytes; --json shows all that was kept")
            return
        click.echo(text)

"""How commands print: aligned columns for people, JSON for programs. Text from outside can't move the cursor."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.errors import EngineError, FunctionRefused


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
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # the terminal's encoding has no such character
        text = json.dumps(value)
    click.echo(text)


def failure(error: EngineError) -> None:
    """What went wrong and how to mend it, on standard error."""
    click.echo(f"engine: {clean(error.message)}", err=True)
    if error.remedy:
        click.echo(f"  → {clean(error.remedy)}", err=True)


def diagnostics(data: dict[str, Any], filename: str, source: str) -> None:
    """What is wrong with a function, on standard error: place, message, line with caret, remedy."""
    for item in data.get("diagnostics", []):
        click.echo(
            f"{clean(filename)}:{item['line']}:{item['column']} {item['rule']}: {clean(item['message'])}",
            err=True,
        )
        if item.get("source_line"):
            _caret(item["source_line"], item["column"], "    ")
        click.echo(f"  → {clean(item['remedy'])}", err=True)
    if data.get("error"):
        error_lines(data["error"], filename, source)


def _caret(line: str, column: int | None, indent: str) -> None:
    """A line of source, and under it a caret at `column` (from 1), which stays below its character after tabs."""
    click.echo(f"{indent}{clean(line.expandtabs(4))}", err=True)
    if column:
        click.echo(f"{indent}{' ' * len(clean(line[: column - 1].expandtabs(4)))}^", err=True)


def error_lines(error: dict[str, Any], filename: str, source: str) -> None:
    """An error of a function, on standard error: the author's frames, the line with a caret."""
    click.echo(
        f"{clean(error.get('type', ''))}: {clean(error.get('message', ''))}  [{clean(error.get('code', ''))}]",
        err=True,
    )
    lines = source.splitlines()
    for frame in error.get("traceback") or []:
        click.echo(f"  {clean(filename)}:{frame['line']} in {clean(frame['function'])}", err=True)
        if 0 < frame["line"] <= len(lines):
            _caret(lines[frame["line"] - 1], frame.get("column"), "      ")


def logs(lines: Sequence[dict[str, str]], bytes_max: int = 4096) -> None:
    """Console lines, cut at `bytes_max`, which is said."""
    left = bytes_max
    for line in lines:
        text = f"  {line['level']:5} {clean(line['message'])}"
        encoded = text.encode("utf-8", "replace")
        if len(encoded) > left:
            click.echo(encoded[:left].decode("utf-8", "ignore"))
            click.echo(f"  … console output is cut at {bytes_max} bytes; --json shows all that was kept")
            return
        left -= len(encoded)
        click.echo(text)


def shown(value: dict[str, Any], *, is_json: bool) -> None:
    """One thing: a line a field, or JSON."""
    if is_json:
        as_json(value)
        return
    width = max(map(len, value), default=0)
    for name, item in value.items():
        if isinstance(item, list):
            text = ", ".join(map(str, item))
        elif isinstance(item, dict):
            text = ", ".join(f"{key}={part}" for key, part in item.items())
        else:
            text = "" if item is None else str(item)
        lines = text.splitlines() or [""]
        click.echo(f"{name.ljust(width)}  {clean(lines[0])}".rstrip())
        for line in lines[1:]:
            click.echo(f"{' ' * width}  {clean(line)}")


def done(value: dict[str, Any], text: str, *, is_json: bool) -> None:
    """One line that says what was done, or JSON."""
    if is_json:
        as_json(value)
    else:
        click.echo(text)


def changes(value: dict[str, Any], text: str, *, is_json: bool) -> None:
    """What was, or would be, changed."""
    if is_json:
        as_json(value)
        return
    click.echo(text)
    for change in value["changes"]:
        before, after = change.get("before"), change.get("after")
        arrow = f": {_brief(before)} → {_brief(after)}" if before is not None or after is not None else ""
        click.echo(f"  {clean(change['what'])}{arrow}")
        for line in change.get("diff", ()):
            click.echo(f"    {clean(line)}")


def _brief(value: Any) -> str:
    if value is None or value in ("", []):
        return "none"
    return clean(", ".join(map(str, value)) if isinstance(value, list) else value)


def handlers(rows: Sequence[dict[str, Any]]) -> None:
    """A line a handler of a function."""
    for row in rows:
        kind = "async def" if row["async"] else "def"
        click.echo(f"  {row['name']:12} {row['type']:10} {kind} at line {row['line']}")


def settings(rows: Sequence[dict[str, Any]]) -> None:
    """A destination's settings; of sensitive ones only whether they are set."""
    if not rows:
        click.echo("no settings")
        return
    lines = [
        {
            "setting": row["name"],
            "type": row["type"] or "any",
            "required": "required" if row["required"] else "",
            "value": ("(set)" if row["is_set"] else "(not set)")
            if row["sensitive"] or not row["is_set"]
            else json.dumps(row["value"], ensure_ascii=False),
        }
        for row in rows
    ]
    table(lines, ["setting", "type", "required", "value"])


def refused(error: FunctionRefused, file: Path, source: str, *, is_json: bool) -> int:
    """A function that doesn't compile or load; the exit status."""
    if is_json:
        as_json({"ok": False, "error": error.message, **error.data})
    else:
        diagnostics(error.data, str(file), source)
        failure(error)
    return error.exit_status


def attempt(line: dict[str, Any]) -> None:
    """One attempt, as the operation `logs` tells it: how it ended and where, its HTTP requests, its console lines."""
    if line.get("missed"):
        click.echo(f"… {line['missed']} attempts were missed: they ended faster than this shows them")
    error = line.get("error") or {}
    where = f" line {error['line']}" if error.get("line") else ""
    text = f" {clean(error.get('type', ''))}: {clean(error.get('message', ''))}" if error else ""
    click.echo(
        f"{line['at']} {line['delivery']} {line['event_type']} #{line['attempt']} {line['code']}{where}{text}"
    )
    for request in line["requests"]:
        came = request.get("status") or f"{request.get('error')}: {request.get('message')}"
        went = f"{request.get('method')} {request.get('url')}"
        click.echo(f"  {clean(went)} → {clean(came)} in {clean(request.get('total_ms'))} ms")
    logs(line["logs"])


def requests(items: Sequence[dict[str, Any]], chars_max: int = 1_000) -> None:
    """HTTP exchanges, as they went out: method, URL and what was answered, then what was sent."""
    for item in items:
        place = clean(f"{item['method']} {item['url']}")
        answer = f"{item['status']}" if item["status"] else ""
        failure = clean(f"{item['error']}: {item['message']}") if item["error"] else ""
        sizes = f"{item['request_bytes']} B sent, {item['response_bytes']} B received"
        click.echo(f"  → {place}  {answer or failure}  {item['total_ms']:.0f} ms, {sizes}")
        for name, value in item["request_headers"]:
            click.echo(f"      {clean(name)}: {clean(value)[:chars_max]}")
        if item["request_body"]:
            click.echo(f"      {clean(item['request_body'])[:chars_max]}")
        if failure and answer:
            click.echo(f"      {failure}")
        elif item["response_body"] and item["status"] >= 400:
            click.echo(f"    ← {clean(item['response_body'])[:chars_max]}")

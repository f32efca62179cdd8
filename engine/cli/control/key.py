"""`engine key`, `engine audit`, `engine usage`."""

from __future__ import annotations

from typing import Final

import click

from engine.cli import output, times
from engine.client import Client

USAGE_COLUMNS: Final = (
    "day function destination invocations events busy_s fetches sent_bytes received_bytes".split()
)
_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


@click.group("key")
def key_command() -> None:
    """What secrets are sealed under."""


@key_command.command("list")
@_json
def list_(is_json: bool) -> None:
    """Show ids of the keys, and where they are kept; never a key."""
    with Client() as client:
        output.shown(client.keys.show(), is_json=is_json)


@key_command.command("rotate")
@_json
def rotate(is_json: bool) -> None:
    """Make a new key and seal every secret under it, without a stop."""
    with Client() as client:
        rotated = client.keys.rotate()
    text = f"sealed {rotated['resealed']} values under the new key {rotated['current']}; back its file up"
    output.done(rotated, text, is_json=is_json)


@click.command("audit")
@click.option(
    "--since",
    "since_ms",
    type=times.option,
    metavar="TIME",
    help="Only from then on: ISO 8601, or 15m, 2h, 3d ago.",
)
@click.option("--until", "until_ms", type=times.option, metavar="TIME", help="Only before then.")
@click.option("--json", "is_json", is_flag=True, help="Print NDJSON.")
def audit_command(since_ms: int | None, until_ms: int | None, is_json: bool) -> None:
    """List who changed what, and whose secrets were opened; the oldest first."""
    with Client() as client:
        for entry in client.audit(since_ms=since_ms, until_ms=until_ms):
            if is_json:
                output.as_json(entry)
                continue
            detail = " ".join(f"{key}={output.clean(value)}" for key, value in entry["detail"].items())
            click.echo(
                f"{entry['at']} {output.clean(entry['who'])} ({output.clean(entry['origin'])})"
                f" {entry['action']} {output.clean(entry['subject'])} {detail}".rstrip()
            )


@click.command("usage")
@click.option(
    "--since", "since_ms", type=times.option, metavar="TIME", help="From that day on: ISO 8601, or 3d ago."
)
@click.option("--until", "until_ms", type=times.option, metavar="TIME", help="Up to that day.")
@_json
def usage_command(since_ms: int | None, until_ms: int | None, is_json: bool) -> None:
    """Show what functions have used, by day, function and destination; days are UTC."""
    with Client() as client:
        rows = client.usage(since_ms=since_ms, until_ms=until_ms)
    if is_json:
        output.as_json(rows)
    elif not rows:
        click.echo("nothing was used")
    else:
        shown = [{**row, "busy_s": round(row["busy_us"] / 1e6, 3)} for row in rows]
        output.table(shown, USAGE_COLUMNS)

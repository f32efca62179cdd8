"""`engine logs`."""

from __future__ import annotations

from typing import Final

import click

from engine.cli import output, times
from engine.client import Client
from sandbox.wire import OUTCOME_CODES

LIMIT: Final = 100
LIMIT_MAX: Final = 10_000


@click.command("logs")
@click.argument("name")
@click.option("--follow", "-f", is_flag=True, help="Then show every attempt as it ends, successes too.")
@click.option("--since", "since_ms", type=times.option, metavar="TIME", help="ISO 8601, or 15m, 2h, 3d ago.")
@click.option("--code", type=click.Choice(OUTCOME_CODES), help="Only attempts that ended so.")
@click.option(
    "--limit",
    type=click.IntRange(0, LIMIT_MAX),
    help=f"The newest so many; {LIMIT} unless --since is given, then {LIMIT_MAX}.",
)
@click.option("--json", "is_json", is_flag=True, help="Print NDJSON.")
def logs_command(
    *, name: str, follow: bool, since_ms: int | None, code: str | None, limit: int | None, is_json: bool
) -> None:
    """Show the attempts of a destination that failed, oldest first: error, line, console."""
    if limit is None:
        limit = LIMIT if since_ms is None else LIMIT_MAX
    shown = 0
    with Client() as client:
        for line in client.logs(name, follow=follow, since_ms=since_ms or 0, code=code, limit=limit):
            shown += 1
            if is_json:
                output.as_json(line)
            else:
                output.attempt(line)
    if not shown and not is_json:
        click.echo("no failures are recorded", err=True)

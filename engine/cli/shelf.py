"""`engine deliveries`, `engine replay`: what is stored of a destination, and running what failed again."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from engine.cli import output, times
from engine.client import Client
from engine.errors import NotFound
from sandbox.wire import OUTCOME_CODES

_CODES = (*OUTCOME_CODES, "overflow")  # `engine.model` has the name, and takes longer than the command


def _filters(command: Any) -> Any:
    for option in (
        click.option("--id", "id", metavar="ID", help="One delivery, as CHUNK.INDEX."),
        click.option(
            "--until",
            "until_ms",
            type=times.option,
            metavar="TIME",
            help="Before: ISO 8601, or 15m, 2h, 3d ago.",
        ),
        click.option(
            "--since",
            "since_ms",
            type=times.option,
            metavar="TIME",
            help="Since: ISO 8601, or 15m, 2h, 3d ago.",
        ),
        click.option("--code", type=click.Choice(_CODES), help="How the last attempt ended."),
    ):
        command = option(command)
    return command


@click.command("deliveries")
@click.argument("name")
@click.option("--state", type=click.Choice(("dead", "discarded", "waiting", "running")))
@_filters
@click.option("--json", "is_json", is_flag=True, help="Print NDJSON, each with its event.")
def deliveries_command(name: str, *, is_json: bool, **wanted: Any) -> None:
    """Show stored deliveries of a destination; without --state those that are dead or discarded, the newest first."""
    count = 0
    with Client() as client:
        for delivery in client.deliveries(name, **_given(wanted)):
            count += 1
            if is_json:
                output.as_json(delivery)
            else:
                _print(delivery, in_full=wanted["id"] is not None)
    if wanted["id"] is not None and not count:
        raise NotFound(
            f"{name!r} has no delivery {wanted['id']}",
            remedy="it was delivered, or pruned from the shelf; `engine deliveries NAME` lists what is stored",
        )
    if not count and not is_json:
        click.echo("none")


@click.command("replay")
@click.argument("name")
@click.option("--state", type=click.Choice(("dead", "discarded")))
@_filters
@click.option("--limit", type=click.IntRange(1), help="At most so many, the oldest first.")
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@click.option("--json", "is_json", is_flag=True, help="Print NDJSON: the count after each step.")
def replay_command(name: str, *, is_json: bool, **wanted: Any) -> None:
    """Run dead and discarded deliveries again, from their first attempt. Interrupted, it is continued by running it again."""
    replayed = 0
    with Client() as client:
        for step in client.replay(name, **_given(wanted)):
            replayed = step["replayed"]
            if is_json:
                output.as_json(step)
            elif sys.stderr.isatty() and not step["is_done"]:
                click.echo(f"\r{replayed}", nl=False, err=True)
    if not is_json:
        click.echo(f"{replayed} deliveries {'would be replayed' if wanted['dry_run'] else 'replayed'}")


def _given(wanted: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wanted.items() if value is not None}


def _print(delivery: dict[str, Any], *, in_full: bool) -> None:
    error = delivery.get("error") or {}
    why = f"{error.get('type', '')}: {error.get('message', '')}" if error else ""
    columns = ("at", "id", "state", "code", "event_type", "message_id")
    cells = [output.clean(delivery[column]) for column in columns if delivery[column] != ""]
    click.echo(f"{'  '.join(cells)}  #{delivery['attempt']} {output.clean(why)}".rstrip())
    if in_full:
        click.echo(f"accepted {delivery['accepted']}")
        click.echo(output.clean(json.dumps(delivery["event"], ensure_ascii=False)))
        output.logs(delivery["logs"])
        for attempt in delivery["attempts"]:
            output.attempt(attempt)

"""`engine source`."""

from __future__ import annotations

import click

from engine.cli import output
from engine.client import Client

_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")
_samples = click.option(
    "--samples",
    "samples_kept",
    type=int,
    help="Events of each type to keep for `engine test --from`; 0 is none.",
)


@click.group("source")
def source_command() -> None:
    """Where events come from."""


@source_command.command("create")
@click.argument("name")
@_samples
@_json
def create(name: str, samples_kept: int | None, is_json: bool) -> None:
    """Make a source; it prints its write key."""
    with Client() as client:
        made = client.sources.create(name, samples_kept=samples_kept)
    if is_json:
        output.as_json(made)
        return
    click.echo(f"created the source {output.clean(name)}, write key {made['write_keys'][0]}")
    click.echo(
        f"  → connect destinations: engine destination update DESTINATION --source {output.clean(name)}"
    )


@source_command.command("list")
@_json
def list_(is_json: bool) -> None:
    """List sources."""
    with Client() as client:
        rows = client.sources.list()
    if is_json:
        output.as_json(rows)
    elif not rows:
        click.echo("no sources; `engine source create NAME` makes one")
    else:
        shown = [{**row, "destinations": ", ".join(row["destinations"]) or "-"} for row in rows]
        output.table(shown, ["name", "destinations", "write_keys", "created"])


@source_command.command("show")
@click.argument("name")
@_json
def show(name: str, is_json: bool) -> None:
    """Show one source with its write keys."""
    with Client() as client:
        output.shown(client.sources.show(name), is_json=is_json)


@source_command.command("update")
@click.argument("name")
@_samples
@click.option("--add-key", is_flag=True, help="Make one more write key.")
@click.option("--remove-key", metavar="KEY", help="Take a write key away.")
@_json
def update(name: str, samples_kept: int | None, add_key: bool, remove_key: str | None, is_json: bool) -> None:
    """Change a source. To rotate its write key: --add-key, move the senders, --remove-key the old one."""
    with Client() as client:
        changed = client.sources.update(
            name, samples_kept=samples_kept, add_key=add_key, remove_key=remove_key
        )
    output.shown(changed, is_json=is_json)


@source_command.command("remove")
@click.argument("name")
@_json
def remove(name: str, is_json: bool) -> None:
    """Remove a source; what it has sent is delivered all the same."""
    with Client() as client:
        removed = client.sources.remove(name)
    output.done(removed, f"removed the source {output.clean(name)}", is_json=is_json)

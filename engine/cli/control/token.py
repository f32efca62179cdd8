"""`engine token`."""

from __future__ import annotations

import click

from engine.cli import output, times
from engine.client import Client

_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


@click.group("token")
def token_command() -> None:
    """What people and programs show to be somebody."""


@token_command.command("create")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    metavar="ROLE[=FUNCTION]",
    help="owner, functions-admin, functions-read-only, source-admin, ingest, payloads; may be given several times.",
)
@click.option(
    "--expires",
    "expires_ms",
    type=times.option_to_come,
    default="90d",
    show_default=True,
    metavar="TIME",
    help="When it stops being known: ISO 8601, in how long, or never.",
)
@_json
def create(name: str, roles: tuple[str, ...], expires_ms: int | None, is_json: bool) -> None:
    """Make a token; it is printed this once, and kept nowhere."""
    with Client() as client:
        made = client.tokens.create(name, roles, expires_ms=expires_ms)
    if is_json:
        output.as_json(made)
        return
    click.echo(made["token"])
    until = f"until {made['expires']}" if made["expires"] else "for ever"
    click.echo(f"it is {output.clean(name)}, {until}; it won't be shown again", err=True)
    click.echo("  → ENGINE_TOKEN=… engine list, or `Authorization: Bearer …` over HTTP", err=True)


@token_command.command("list")
@_json
def list_(is_json: bool) -> None:
    """List tokens, those that have expired too; never a token itself."""
    with Client() as client:
        rows = client.tokens.list()
    if is_json:
        output.as_json(rows)
    elif not rows:
        click.echo("no tokens; `engine token create NAME --role ROLE` makes one")
    else:
        shown = [
            {
                **row,
                "roles": ", ".join(row["roles"]),
                "expires": row["expires"] or "never",
                "used": row["used"] or "never",
            }
            for row in rows
        ]
        output.table(shown, ["name", "roles", "created", "expires", "used"])


@token_command.command("remove")
@click.argument("name")
@_json
def remove(name: str, is_json: bool) -> None:
    """Remove a token: nobody is known by it from now on."""
    with Client() as client:
        removed = client.tokens.remove(name)
    output.done(removed, f"removed the token {output.clean(name)}", is_json=is_json)

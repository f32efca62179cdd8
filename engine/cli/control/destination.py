"""`engine destination`, `engine setting`."""

from __future__ import annotations

from typing import Any

import click

from engine.cli import inputs, options, output
from engine.client import Client
from engine.errors import UsageError

_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")
_filter = click.option(
    "--filter",
    "filter_text",
    metavar="TEXT|@FILE",
    help="Which events reach the function; an empty text lifts it.",
)
_sources = click.option(
    "--source", "sources", multiple=True, metavar="NAME", help="Connect it to this source."
)


@click.group("destination")
def destination_command() -> None:
    """What runs a function on events of sources."""


@destination_command.command("create")
@click.argument("name")
@click.option("--function", required=True, help="What it runs.")
@click.option("--version", type=int, help="Pin it to this version; else it runs what is deployed.")
@_sources
@_filter
@click.option("--disabled", is_flag=True, help="Sources send it nothing yet.")
@options.settings
@options.limits
@_json
def create(
    *,
    name: str,
    function: str,
    version: int | None,
    sources: tuple[str, ...],
    filter_text: str | None,
    disabled: bool,
    is_json: bool,
    **given: Any,
) -> None:
    """Make a destination of a saved function."""
    with Client() as client:
        schema = client.functions.show(function, version=version)["settings"]
        settings, limits = inputs.chosen(given, schema)
        made = client.destinations.create(
            name,
            function,
            version=version,
            settings=settings,
            limits=limits,
            filter=inputs.filter_of(filter_text),
            sources=list(sources),
            enabled=not disabled,
        )
    text = f"created {output.clean(name)}, running version {made['version']} of {output.clean(function)}"
    output.done(made, text, is_json=is_json)


@destination_command.command("update")
@click.argument("name")
@click.option("--version", type=int, help="Pin it to this version.")
@click.option("--follow", is_flag=True, help="Run what is deployed of its function again.")
@_sources
@click.option("--no-source", "dropped", multiple=True, metavar="NAME", help="Disconnect it from this source.")
@_filter
@click.option("--enable/--disable", "enabled", default=None, help="Whether sources send it events.")
@options.settings
@options.limits
@_json
def update(
    *,
    name: str,
    version: int | None,
    follow: bool,
    sources: tuple[str, ...],
    dropped: tuple[str, ...],
    filter_text: str | None,
    enabled: bool | None,
    is_json: bool,
    **given: Any,
) -> None:
    """Change what is given of a destination."""
    with Client() as client:
        shown = client.destinations.show(name)
        settings, limits = inputs.chosen(given, shown["settings"])
        changed = client.destinations.update(
            name,
            version=version,
            follow=follow,
            settings=settings,
            limits=limits,
            filter=inputs.filter_of(filter_text),
            sources=_connected(shown["sources"], sources, dropped),
            enabled=enabled,
        )
    output.changes(changed, f"updated {output.clean(name)}, version {changed['version']}", is_json=is_json)


def _connected(now: list[str], added: tuple[str, ...], dropped: tuple[str, ...]) -> list[str] | None:
    if not added and not dropped:
        return None
    unknown = [name for name in dropped if name not in now]
    if unknown:
        raise UsageError(
            f"it isn't connected to {', '.join(unknown)}",
            remedy=f"it is connected to {', '.join(now) or 'none'}",
        )
    return [name for name in dict.fromkeys([*now, *added]) if name not in dropped]


@destination_command.command("list")
@_json
def list_(is_json: bool) -> None:
    """List destinations by what they are; `engine list` says how they do."""
    with Client() as client:
        rows = client.destinations.list()
    if is_json:
        output.as_json(rows)
    elif not rows:
        click.echo("no destinations; `engine deploy FILE --name NAME` makes one")
    else:
        shown = [{**row, "sources": ", ".join(row["sources"]) or "-"} for row in rows]
        output.table(shown, ["name", "function", "version", "pinned", "enabled", "filtered", "sources"])


@destination_command.command("show")
@click.argument("name")
@_json
def show(name: str, is_json: bool) -> None:
    """Show one with its filter and settings; values of sensitive settings are never shown."""
    with Client() as client:
        shown = client.destinations.show(name)
    if is_json:
        output.as_json(shown)
        return
    settings = shown.pop("settings")
    output.shown(shown, is_json=False)
    output.settings(settings)


@destination_command.command("remove")
@click.argument("name")
@click.option("--discard", is_flag=True, help="Discard events that wait, too.")
@_json
def remove(name: str, discard: bool, is_json: bool) -> None:
    """Remove a destination; its function stays."""
    with Client() as client:
        removed = client.remove(name, discard=discard)
    output.done(removed, f"removed {output.clean(name)}", is_json=is_json)


@click.group("setting")
def setting_command() -> None:
    """Values that a destination's function reads."""


@setting_command.command("list")
@click.argument("destination")
@_json
def list_settings(destination: str, is_json: bool) -> None:
    """List a destination's settings; sensitive values are never shown."""
    with Client() as client:
        rows = client.destinations.settings(destination)
    if is_json:
        output.as_json(rows)
    else:
        output.settings(rows)


@setting_command.command("show")
@click.argument("destination")
@click.argument("name")
@_json
def show_setting(destination: str, name: str, is_json: bool) -> None:
    """Show one setting of a destination."""
    with Client() as client:
        rows = client.destinations.settings(destination)
    row = next((row for row in rows if row["name"] == name), None)
    if row is None:
        raise UsageError(
            f"{destination} has no setting {name!r}", remedy=f"`engine setting list {destination}` lists them"
        )
    output.shown(row, is_json=is_json)


@setting_command.command("update")
@click.argument("destination")
@options.settings
@_json
def update_settings(destination: str, is_json: bool, **given: Any) -> None:
    """Set values, while events flow: --set NAME=VALUE, NAME=@FILE, NAME=- or --settings FILE."""
    with Client() as client:
        settings, _ = inputs.chosen(given, client.destinations.settings(destination))
        if not settings:
            raise UsageError("nothing is set", remedy="give --set NAME=VALUE or --settings FILE")
        changed = client.destinations.update(destination, settings=settings)
    output.changes(changed, f"updated {output.clean(destination)}", is_json=is_json)


@setting_command.command("remove")
@click.argument("destination")
@click.argument("names", nargs=-1, required=True)
@_json
def remove_settings(destination: str, names: tuple[str, ...], is_json: bool) -> None:
    """Take values away."""
    with Client() as client:
        changed = client.destinations.update(destination, settings=dict.fromkeys(names))
    output.changes(changed, f"updated {output.clean(destination)}", is_json=is_json)

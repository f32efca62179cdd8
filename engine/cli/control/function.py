"""`engine function`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.cli import inputs, output
from engine.client import Client
from engine.errors import FunctionRefused

_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


def _about(command: Any) -> Any:
    for name, text in (
        ("--logo-url", "An image."),
        ("--description", "What it does."),
        ("--display-name", "What people see."),
    ):
        command = click.option(name, help=text)(command)
    return command


@click.group("function")
def function_command() -> None:
    """Code and its versions."""


@function_command.command("create")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Of the function; else the manifest's, else the file's.")
@_about
@_json
def create(file: Path, name: str | None, is_json: bool, **about: str | None) -> int:
    """Save FILE as version 1 of a function; destinations are made of it by `engine destination create`."""
    source = inputs.read_text(file)
    manifest = inputs.read_manifest(file, source)
    return _save(
        name or manifest.get("name") or inputs.name_of(file), file, source, manifest, about, is_json=is_json
    )


def _save(
    name: str,
    file: Path,
    source: str,
    manifest: dict[str, Any],
    about: dict[str, str | None],
    *,
    is_json: bool,
    deploy: bool = False,
    destinations: tuple[str, ...] = (),
) -> int:
    described = {
        **inputs.about_of(manifest),
        **{key: text for key, text in about.items() if text is not None},
    }
    with Client() as client:
        try:
            saved = client.functions.save(
                name,
                source,
                filename=file.name,
                schema=inputs.schema_of(manifest, source),
                deploy=deploy,
                destinations=list(destinations) or None,
                **described,
            )
        except FunctionRefused as error:
            return output.refused(error, file, source, is_json=is_json)
    if is_json:
        output.as_json(saved)
        return 0
    click.echo(f"saved version {saved['version']} of {output.clean(name)}")
    if deploy:
        click.echo(
            f"  deployed to {', '.join(map(output.clean, saved['deployed_to'])) or 'no destination yet'}"
        )
    output.handlers(saved["handlers"])
    output.logs(saved["logs"])
    return 0


@function_command.command("list")
@_json
def list_(is_json: bool) -> None:
    """List functions."""
    with Client() as client:
        rows = client.functions.list()
    if is_json:
        output.as_json(rows)
    elif not rows:
        click.echo("no functions; `engine function create FILE` or `engine deploy FILE` makes one")
    else:
        shown = [{**row, "deployed": row["deployed"] or "-"} for row in rows]
        output.table(shown, ["name", "display_name", "latest", "deployed", "destinations", "created"])


@function_command.command("show")
@click.argument("name")
@click.option("--version", type=int, help="Whose code to show; else the newest's.")
@_json
def show(name: str, version: int | None, is_json: bool) -> None:
    """Show a function: its versions, where they run, and the code of one."""
    with Client() as client:
        shown = client.functions.show(name, version=version)
    if is_json:
        output.as_json(shown)
        return
    code, versions = shown.pop("code"), shown.pop("versions")
    schema, handlers = shown.pop("settings"), shown.pop("handlers")
    output.shown(shown, is_json=False)
    rows = [{**row, "deployed": row["deployed"] or "-"} for row in versions]
    output.table(rows, ["version", "author", "created", "deployed"])
    if schema:
        output.table(schema, ["name", "label", "type", "required", "sensitive", "description"])
    output.handlers(handlers)
    click.echo(f"code of version {shown['version']}:")
    for line in code.splitlines():
        click.echo(f"  {output.clean(line.expandtabs(4))}")


@function_command.command("update")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--deploy", is_flag=True, help="Move its destinations to the new version.")
@click.option(
    "--to", "destinations", multiple=True, metavar="DESTINATION", help="Move only these, and pin them."
)
@_about
@_json
def update(
    name: str,
    file: Path | None,
    deploy: bool,
    destinations: tuple[str, ...],
    is_json: bool,
    **about: str | None,
) -> int:
    """Save FILE as the next version; without FILE change only what people see of the function."""
    if file is not None:
        source = inputs.read_text(file)
        manifest = inputs.read_manifest(file, source)
        is_deployed = deploy or bool(destinations)
        return _save(
            name,
            file,
            source,
            manifest,
            about,
            is_json=is_json,
            deploy=is_deployed,
            destinations=destinations,
        )
    with Client() as client:
        output.done(client.functions.update(name, **about), f"updated {output.clean(name)}", is_json=is_json)
    return 0


@function_command.command("deploy")
@click.argument("name")
@click.option("--version", type=int, help="An older one is a rollback; else the newest.")
@click.option(
    "--to", "destinations", multiple=True, metavar="DESTINATION", help="Move only these, and pin them."
)
@_json
def deploy(name: str, version: int | None, destinations: tuple[str, ...], is_json: bool) -> None:
    """Move the destinations of a function to one of its versions: all that aren't pinned, or those named."""
    with Client() as client:
        deployed = client.functions.deploy(name, version=version, destinations=list(destinations) or None)
    names = ", ".join(map(output.clean, deployed["deployed_to"])) or "no destination yet"
    output.done(deployed, f"deployed version {deployed['version']} to {names}", is_json=is_json)


@function_command.command("check")
@_json
def check(is_json: bool) -> int:
    """Compile and load every version that runs, under this interpreter and policy."""
    with Client() as client:
        rows = client.functions.check()
    if is_json:
        output.as_json(rows)
    else:
        output.table(rows, ["name", "version", "ok", "error"])
        for row in rows:
            output.diagnostics(row, f"{row['name']} version {row['version']}", "")
    return 0 if all(row["ok"] for row in rows) else 1


@function_command.command("remove")
@click.argument("name")
@_json
def remove(name: str, is_json: bool) -> None:
    """Remove a function that no destination runs."""
    with Client() as client:
        removed = client.functions.remove(name)
    output.done(removed, f"removed the function {output.clean(name)}", is_json=is_json)

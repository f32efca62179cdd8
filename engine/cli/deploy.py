"""`engine deploy`: function, version and destination in one line; of a folder, all that have a manifest."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli import inputs, options, output
from engine.client import Client
from engine.errors import EngineError, FunctionRefused, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "function.toml"


@click.command("deploy")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Of the destination; else the manifest's, else the file's.")
@click.option("--filter", "filter_text", metavar="TEXT|@FILE", help="Which events reach the function.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Connect it to this source.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@options.settings
@options.limits
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def deploy_command(*, path: Path, name: str | None, is_json: bool, **given: Any) -> int:
    """Deploy a function as a destination, or all below a folder that have a function.toml."""
    if path.is_dir() and name is not None:
        raise UsageError("several functions can't have one name", remedy="leave --name out, or name one file")
    jobs = [_prepared(file, name, given) for file in (_functions_below(path) if path.is_dir() else [path])]
    statuses = []
    with Client() as client:
        for job in jobs:
            try:
                statuses.append(_deploy(client, job, is_json=is_json))
            except EngineError as error:
                if len(jobs) == 1:
                    raise
                click.echo(f"{job.file}:", err=True)
                output.failure(error)
                statuses.append(error.exit_status)
    return max(statuses)


@dataclass(frozen=True, slots=True)
class Job:
    """One function to deploy."""

    file: Path
    name: str
    source: str
    options: dict[str, Any]
    """What `Client.deploy` takes."""


def _prepared(file: Path, name: str | None, given: Mapping[str, Any]) -> Job:
    source = inputs.read_text(file)
    manifest = inputs.read_manifest(file, source)
    schema = inputs.schema_of(manifest, source)
    settings, limits = inputs.chosen(given, schema, manifest)
    filter_text = given["filter_text"] if given["filter_text"] is not None else manifest.get("filter")
    options = {
        "filename": file.name,
        "schema": schema,
        "settings": settings,
        "limits": limits,
        "filter": inputs.filter_of(filter_text),
        "sources": list(given["sources"]) or manifest.get("sources"),
        "dry_run": given["dry_run"],
        **inputs.about_of(manifest),
    }
    name = manifest.get("name") or inputs.name_of(file) if name is None else name
    return Job(file, name, source, options)


def _functions_below(folder: Path) -> list[Path]:
    """The code beside each manifest. Raises `UsageError` if there is none, or a manifest has no code beside it."""
    files = []
    for manifest in sorted(folder.rglob(MANIFEST)):
        code = manifest.with_name("function.py")
        if not code.is_file():
            raise UsageError(f"there is no function.py beside {manifest}", remedy="call the code function.py")
        files.append(code)
    if not files:
        raise UsageError(f"there is no {MANIFEST} below {folder}", remedy=f"name a file, or add a {MANIFEST}")
    return files


def _deploy(client: Client, job: Job, *, is_json: bool) -> int:
    try:
        deployed = _deployed(client, job)
    except FunctionRefused as error:
        return output.refused(error, job.file, job.source, is_json=is_json)
    if is_json:
        output.as_json({"ok": True, **deployed})
        return 0
    name = output.clean(job.name)
    if job.options["dry_run"]:
        would = "create" if deployed["created"] else "change" if deployed["changes"] else "change nothing of"
        output.changes(deployed, f"would {would} {name}", is_json=False)
        return 0
    click.echo(f"{'created' if deployed['created'] else 'updated'} {name}, version {deployed['version']}")
    output.handlers(deployed["handlers"])
    output.logs(deployed["logs"])
    return 0


def _deployed(client: Client, job: Job) -> dict[str, Any]:
    """Deploy; on a terminal ask for required settings that have no value."""
    try:
        return client.deploy(job.name, job.source, **job.options)
    except UsageError as error:
        missing = error.data.get("missing") or []
        if not missing or len(missing) < len(error.data.get("problems", [])) or not sys.stdin.isatty():
            raise
        asked = inputs.ask(missing, job.options["schema"] or [])
        settings = {**job.options["settings"], **asked}
        return client.deploy(job.name, job.source, **{**job.options, "settings": settings})

"""`engine list`, `show`, `health`, `remove`, `pause`, `resume`, `stats`, `workers`."""

from __future__ import annotations

from typing import Any, Final

import click

from engine.cli import output
from engine.client import Client

NO_DESTINATIONS: Final = "no destinations; `engine deploy FILE --name NAME` makes one"
HEALTH_COLUMNS: Final = (
    "name state delivered failed retrying dead 1m/s 5m/s 1h/s p50_ms p95_ms p99_ms".split()
)
WINDOW_COLUMNS: Final = (
    "window delivered failed retried dead p50_ms p95_ms p99_ms busy_p50_us responses".split()
)
_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


@click.command("list")
@_json
def list_command(is_json: bool) -> None:
    """List destinations."""
    with Client() as client:
        rows = client.list()
    if is_json:
        output.as_json(rows)
    elif not rows:
        click.echo(NO_DESTINATIONS)
    else:
        columns = [
            "name",
            "version",
            "state",
            "workers",
            "ready",
            "in_flight",
            "delivered",
            "failed",
            "deployed",
        ]
        output.table(rows, columns)


@click.command("show")
@click.argument("name")
@_json
def show_command(name: str, is_json: bool) -> None:
    """Show one destination."""
    with Client() as client:
        shown = client.show(name)
    if is_json:
        output.as_json(shown)
    else:
        _fields(shown)


@click.command("health")
@click.argument("name", required=False)
@_json
def health_command(name: str | None, is_json: bool) -> int:
    """Show which destinations are well, with figures of the last hour; of one also of the last day and month.

    Exit status 1 if one is failing: quarantined, stopped by its circuit breaker, or at least as many attempts failed as
    were delivered in the last five minutes.
    """
    with Client() as client:
        rows = client.health(name)
    if is_json:
        output.as_json(rows)
    elif not rows:
        click.echo(NO_DESTINATIONS)
    else:
        output.table([_health_cells(row) for row in rows], HEALTH_COLUMNS)
        for row in rows:
            for warning in row["warnings"]:
                click.echo(f"{output.clean(row['name'])}: {output.clean(warning)}")
        if name:
            click.echo()
            windows = [{"window": each, **_window_cells(row)} for each, row in rows[0]["windows"].items()]
            output.table(windows, WINDOW_COLUMNS)
    return 1 if any(row["is_failing"] for row in rows) else 0


def _health_cells(row: dict[str, Any]) -> dict[str, Any]:
    rates = {f"{window}/s": per_s for window, per_s in row["delivered_per_s"].items()}
    return {
        **_blank(row),
        **rates,
        "state": "failing" if row["is_failing"] and row["state"] == "running" else row["state"],
    }


def _window_cells(figures: dict[str, Any]) -> dict[str, Any]:
    http = " ".join(f"{name}:{count}" for name, count in figures["responses"].items())
    return {**_blank(figures), "responses": http or "-"}


def _blank(figures: dict[str, Any]) -> dict[str, Any]:
    """A percentile of nothing is shown as a dash."""
    return {name: "-" if value is None else value for name, value in figures.items()}


@click.command("remove")
@click.argument("name")
@click.option("--discard", is_flag=True, help="Discard events that wait, too.")
@_json
def remove_command(name: str, discard: bool, is_json: bool) -> None:
    """Remove a destination."""
    with Client() as client:
        removed = client.remove(name, discard=discard)
    if is_json:
        output.as_json(removed)
    else:
        click.echo(f"removed {output.clean(name)}; {removed['discarded']} stored events discarded")


@click.command("pause")
@click.argument("name")
@_json
def pause_command(name: str, is_json: bool) -> None:
    """Let a destination's events wait until it is resumed; their time for retries stands still."""
    with Client() as client:
        _state(client.pause(name), is_json=is_json)


@click.command("resume")
@click.argument("name")
@_json
def resume_command(name: str, is_json: bool) -> None:
    """Let a destination go on: after a pause, a quarantine, or when the circuit breaker stopped it."""
    with Client() as client:
        _state(client.resume(name), is_json=is_json)


def _state(answer: dict[str, Any], *, is_json: bool) -> None:
    if is_json:
        output.as_json(answer)
    else:
        was = "" if answer["changed"] else " already"
        click.echo(f"{output.clean(answer['name'])} is{was} {answer['state']}")


@click.command("stats")
@_json
def stats_command(is_json: bool) -> None:
    """Show what the daemon has done."""
    with Client() as client:
        stats = client.stats()
    if is_json:
        output.as_json(stats)
    else:
        _fields(stats)


@click.command("workers")
@_json
def workers_command(is_json: bool) -> None:
    """Show the worker processes."""
    with Client() as client:
        rows = client.workers()
    if is_json:
        output.as_json(rows)
    else:
        output.table(
            rows, ["id", "pid", "state", "destination", "in_flight", "invocations", "used_mib", "age_s"]
        )


def _fields(value: dict[str, Any], indent: str = "") -> None:
    width = max((len(key) for key in value), default=0)
    for key, item in value.items():
        if isinstance(item, dict):
            click.echo(f"{indent}{output.clean(key)}")
            _fields(item, indent + "  ")
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            click.echo(f"{indent}{output.clean(key)}")
            for row in item:
                click.echo(
                    f"{indent}  {', '.join(f'{name} {output.clean(cell)}' for name, cell in row.items())}"
                )
        elif isinstance(item, list) and item and isinstance(item[0], list):
            click.echo(f"{indent}{output.clean(key)}")
            for row in item:
                click.echo(f"{indent}  {' '.join(map(output.clean, row))}")
        else:
            text = ", ".join(map(output.clean, item)) if isinstance(item, list) else output.clean(item)
            click.echo(f"{indent}{output.clean(key).ljust(width)}  {text}")

"""The command group: commands are imported when they are called, so that `--help` takes no longer than it must."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from engine.errors import EngineError

COMMANDS: Final = {
    "serve": ("engine.cli.serve", "Run the daemon."),
    "gateway": ("engine.cli.gateway", "Serve HTTP for a daemon."),
    "doctor": ("engine.cli.doctor", "Try the jail on this host; no daemon needed."),
    "init": ("engine.cli.function", "Write a new function with manifest, events and a test."),
    "test": ("engine.cli.function", "Run a function on events; no daemon needed."),
    "deploy": ("engine.cli.deploy", "Deploy a function as a destination."),
    "submit": ("engine.cli.events", "Send events to a destination."),
    "logs": ("engine.cli.logs", "Show recent failures of a destination, or follow it."),
    "list": ("engine.cli.look", "List destinations."),
    "show": ("engine.cli.look", "Show one destination."),
    "remove": ("engine.cli.look", "Remove a destination."),
    "deliveries": ("engine.cli.shelf", "Show stored deliveries: dead, discarded, waiting, running."),
    "replay": ("engine.cli.shelf", "Run dead and discarded deliveries again."),
    "pause": ("engine.cli.look", "Let a destination's events wait."),
    "resume": ("engine.cli.look", "Let a destination go on."),
    "source": ("engine.cli.control.source", "Where events come from: create, list, show, update, remove."),
    "function": (
        "engine.cli.control.function",
        "Code and versions: create, list, show, update, deploy, check, remove.",
    ),
    "destination": (
        "engine.cli.control.destination",
        "What runs functions: create, list, show, update, remove.",
    ),
    "setting": ("engine.cli.control.destination", "Values that functions read: list, show, update, remove."),
    "token": (
        "engine.cli.control.token",
        "What people and programs show to be somebody: create, list, remove.",
    ),
    "key": ("engine.cli.control.key", "What secrets are sealed under: list, rotate."),
    "usage": ("engine.cli.control.key", "Show what functions have used, by day."),
    "audit": ("engine.cli.control.key", "List who changed what."),
    "health": ("engine.cli.look", "Show which destinations are well; exit status 1 if one is failing."),
    "stats": ("engine.cli.look", "Show what the daemon has done."),
    "workers": ("engine.cli.look", "Show the worker processes."),
    "bench": ("engine.cli.bench", "Measure a running daemon."),
    "tune": ("engine.cli.bench", "Try settings on this machine, and say which are best."),
    "completion": ("engine.cli.completion", "Print shell completion for bash, zsh or fish."),
}


class LazyGroup(click.Group):
    """Knows the commands' names and lines of help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """All names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Import one."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Names and lines from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="engine", prog_name="engine")
def cli() -> None:
    """Run your users' Python safely and fast on a stream of events."""


def run() -> int:
    """Run one command; the exit status."""
    try:
        status = cli.main(standalone_mode=False)
    except SystemExit:  # click's way of saying that whoever read our output has enough
        return 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  whatever else went wrong is told
        return _fail(error)
    return status if isinstance(status, int) else 0


def _fail(error: Exception) -> int:
    if isinstance(error, click.ClickException):
        error.show()
        return 2
    if isinstance(error, EngineError):
        from engine.cli import output  # noqa: PLC0415  only now: help needs none of it

        output.failure(error)
        return error.exit_status
    if os.environ.get("ENGINE_DEBUG"):
        raise error
    click.echo(
        f"engine: internal error: {type(error).__name__}: {error}\n  → report it; ENGINE_DEBUG=1 shows where",
        err=True,
    )
    return 1

"""`engine serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from engine import log
from engine.config import load
from engine.daemon import run, temporary_data_dir


@click.command("serve")
@click.option("--data-dir", type=click.Path(file_okay=False), help="Where journal and registry live.")
@click.option("--socket", type=click.Path(), help="Path of the Unix socket.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="engine.toml")
@click.option("--log-format", type=click.Choice(["text", "json"]))
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option(
    "--allow-degraded", is_flag=True, default=None, help="Serve although this host refuses namespaces."
)
@click.option("--dev", is_flag=True, help="Temporary data; prints what to try next.")
def serve_command(config_path: Path | None, dev: bool, **flags: Any) -> None:
    """Run the daemon until SIGTERM."""
    if not dev:
        config = load(config_path, flags, os.environ)
        log.configure(log_format=config.log_format, level=config.log_level)
        run(config, on_ready=lambda: None)
        return
    with temporary_data_dir() as data_dir:
        config = load(config_path, {**flags, "data_dir": flags["data_dir"] or data_dir}, os.environ)
        log.configure(log_format=config.log_format, level=config.log_level)
        run(config, on_ready=lambda: click.echo(_next_steps(config.socket)))


def _next_steps(socket: str) -> str:
    return (
        f"engine is ready, with temporary data. In another terminal:\n\n"
        f"    export ENGINE_SOCKET={socket}\n"
        f"    engine init hello && cd hello\n"
        f"    engine deploy function.py --name hello\n"
        f"    engine submit hello events/track.json --wait\n"
    )

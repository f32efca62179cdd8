"""`engine serve`."""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli import output

if TYPE_CHECKING:
    from engine.config import Config

LOOPBACK = ("127.0.0.0/8:*", "[::1]:*")
"""What a daemon to try things out lets functions call besides: the author's own machine."""


@click.command("serve")
@click.option("--data-dir", type=click.Path(file_okay=False), help="Where journal and registry live.")
@click.option("--socket", type=click.Path(), help="Path of the Unix socket.")
@click.option("--http", metavar="HOST:PORT", help="Serve HTTP there, too, by a process of its own.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="engine.toml")
@click.option("--log-format", type=click.Choice(["text", "json"]))
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option(
    "--allow-degraded", is_flag=True, default=None, help="Serve although this host refuses namespaces."
)
@click.option(
    "--allow",
    multiple=True,
    metavar="HOST[:PORT]",
    help="May be called by functions, beside egress_allow: a host, address or network. Any number of times.",
)
@click.option(
    "--dev", is_flag=True, help="Temporary data; functions may call this machine; prints what to try next."
)
@click.option("--json", "is_json", is_flag=True, help="Print one line of JSON when it is ready.")
def serve_command(
    config_path: Path | None, dev: bool, is_json: bool, allow: tuple[str, ...], **flags: Any
) -> None:
    """Run the daemon until SIGTERM."""
    gc.disable()  # until `run` has begun to serve: what is imported and built stays, and needn't be looked through over and over
    # Only now: `--help`, and what is wrong with the arguments, needs no daemon.
    from engine import log  # noqa: PLC0415
    from engine.config import load  # noqa: PLC0415
    from engine.daemon import run, temporary_data_dir  # noqa: PLC0415

    with temporary_data_dir() if dev else contextlib.nullcontext() as temporary:
        if temporary is not None and flags["data_dir"] is None:
            # Nothing of the environment: a daemon to try things out must not meet the one in use.
            flags["data_dir"] = temporary
            flags["socket"] = flags["socket"] or f"{temporary}/engine.sock"

        def read() -> Config:
            config = load(config_path, flags, os.environ)
            allowed = (*config.egress_allow, *allow, *(LOOPBACK if dev else ()))
            return replace(config, egress_allow=allowed)

        config = read()
        log.configure(log_format=config.log_format, level=config.log_level)
        run(config, read=read, on_ready=lambda http: _ready(config, http, dev=dev, is_json=is_json))


def _ready(config: Config, http: str, *, dev: bool, is_json: bool) -> None:
    if is_json:
        about = {"socket": config.socket, "data_dir": config.data_dir, "pid": os.getpid()}
        output.as_json({**about, "http": http} if http else about)
    elif dev:
        click.echo(
            "engine is ready, with temporary data. In another terminal:\n\n"
            f"    export ENGINE_SOCKET={shlex.quote(config.socket)}\n"
            "    engine init hello && cd hello\n"
            "    engine deploy function.py\n"
            "    engine submit hello events/track.json --wait\n"
        )
    sys.stdout.flush()

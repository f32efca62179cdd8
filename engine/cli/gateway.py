"""`engine gateway`."""

from __future__ import annotations

import gc
import json
import os
import socket
from typing import Any

import click

from engine.cli import output
from engine.errors import EngineError
from engine.paths import default_socket


@click.command("gateway")
@click.option("--http", required=True, metavar="HOST:PORT", help="Where to serve; several may share a port.")
@click.option(
    "--socket", "socket_path", type=click.Path(), help="The daemon's Unix socket; ENGINE_SOCKET if not given."
)
@click.option(
    "--requests-per-s",
    type=click.IntRange(0, 1_000_000),
    default=0,
    help="Requests a second of one source; 0 is no limit.",
)
@click.option("--metrics-open", is_flag=True, help="Whoever reaches the port may read /metrics.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@click.option("--json", "is_json", is_flag=True, help="Print one line of JSON when it is ready.")
@click.option("--parent-fd", type=int, hidden=True, help="Of the daemon that started it.")
def gateway_command(
    *,
    http: str,
    socket_path: str | None,
    is_json: bool,
    parent_fd: int | None,
    requests_per_s: int,
    metrics_open: bool,
    **logging: str,
) -> None:
    """Serve HTTP for a daemon until SIGTERM."""
    gc.disable()  # until `run` has begun to serve: what is imported and built stays, and needn't be looked through over and over
    # Only now: `--help` needs no server.
    from engine import log  # noqa: PLC0415
    from engine.gateway.server import Options, run  # noqa: PLC0415

    log.configure(log_format=logging["log_format"], level=logging["log_level"])
    path = socket_path or str(default_socket(os.environ))
    parent = socket.socket(fileno=parent_fd) if parent_fd is not None else None

    def tell(message: dict[str, Any]) -> None:
        if parent is not None:
            parent.sendall(json.dumps(message).encode())

    def ready(address: str) -> None:
        tell({"http": address})
        if is_json:
            output.as_json({"http": address, "socket": path, "pid": os.getpid()})

    try:
        run(Options(http, path, requests_per_s, metrics_open), on_ready=ready, parent=parent_fd)
    except EngineError as error:
        tell({"code": error.code, "message": error.message, "remedy": error.remedy})
        raise

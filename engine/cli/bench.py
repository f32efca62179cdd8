"""`engine bench` and `engine tune`: the benchmark suite as a process of its own; it is no part of the engine."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

import click

from engine.client import Client
from engine.errors import ConfigurationError
from engine.paths import default_socket


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--socket", type=click.Path(), help="Of the daemon to measure.")
@click.option("--runs", type=click.IntRange(1, 1000), help="Runs of each program; 5 unless given.")
@click.option("--smoke", is_flag=True, help="Only whether it works: small, and no figures.")
@click.option("--save", metavar="NAME", help="Keep the result as .benchmarks/NAME.json here.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write a page with plots.")
@click.option("--json", is_flag=True, help="Print JSON.")
def bench_command(names: tuple[str, ...], socket: str | None, **options: Any) -> int:
    """Measure a running daemon: throughput, latency, handlers, event sizes, workers.

    It deploys destinations of its own, named bench-…, and removes them. What it sends counts in the daemon's figures.
    """
    path = socket or str(default_socket(os.environ))
    Client(path).close()  # before anything is started: who answers nobody is told so
    asked = ["--socket", path]
    for name, value in options.items():
        if value:
            asked += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return _run("benchmarks", [*asked, "--", *names])


@click.command("tune")
@click.option(
    "--seconds", type=click.IntRange(0, 86_400), default=300, help="About how long it may take; 300."
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def tune_command(seconds: int, is_json: bool) -> int:
    """Try settings on this machine and print those it would choose, with the figures behind them.

    It starts daemons of its own in temporary folders; a daemon that runs is left alone, and would be in the way. What is within
    noise stays as it is.
    """
    return _run("benchmarks.tuning", ["--seconds", str(seconds), *(["--json"] if is_json else [])])


def _run(module: str, asked: list[str]) -> int:
    missing = [name for name in ("benchmarks", "hdrh") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the benchmark suite isn't installed: there is no {missing[0]}", remedy="pip install '.[bench]'"
        )
    command = [sys.executable, "-m", module, *asked]
    return subprocess.run(command, check=False).returncode  # noqa: S603  our own module; arguments aren't read by a shell

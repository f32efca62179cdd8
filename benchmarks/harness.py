"""What the figures share: a real daemon in a temporary directory, the reference event and handler, and statistics."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.client import Client
from engine.events import encode_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.wire import Events

RECORDED: Final = Path(__file__).parent.parent / "tests" / "data" / "recorded.ndjson"
REFERENCE_EVENT_BYTES: Final = 767
REFERENCE_SOURCE: Final = """
def on_track(event, settings):
    properties = event.get("properties", {})
    context = event.get("context", {})
    return {
        "name": f"{settings.prefix}.{event['event']}",
        "user": event.get("userId") or event.get("anonymousId"),
        "time": event.get("timestamp"),
        "value": properties.get("revenue", properties.get("price", 0)),
        "page": context.get("page", {}).get("path"),
        "properties": {key: value for key, value in properties.items() if value is not None},
    }
"""
"""A realistic mapping: reads, renames and copies, and calls nothing."""
REFERENCE_SETTINGS: Final = {"prefix": "shop"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value: the median of `runs`, with their extremes."""

    name: str
    value: float
    unit: str
    ratio_to_floor: float | None
    min: float
    max: float
    runs: int

    def as_map(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def figure(name: str, unit: str, values: list[float], *, floor: float | None = None) -> Figure:
    """Median and extremes of several runs, and the ratio to the floor of the same run."""
    middle = statistics.median(values)
    ratio = round(middle / floor, 3) if floor else None
    return Figure(
        name, round(middle, 3), unit, ratio, round(min(values), 3), round(max(values), 3), len(values)
    )


def recorded_events() -> list[dict[str, Any]]:
    """All recorded events, in order."""
    return [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]


@functools.cache
def _reference_tracks() -> list[dict[str, Any]]:
    tracks = [event for event in recorded_events() if event["type"] == "track"]
    tracks.sort(key=lambda event: abs(len(json.dumps(event)) - REFERENCE_EVENT_BYTES - 120))
    return tracks[:50]


def reference_events(count: int) -> list[dict[str, Any]]:
    """Track events closest to the reference size, each with a `messageId` of its own: none is a duplicate."""
    tracks = _reference_tracks()
    return [{**tracks[at % len(tracks)], "messageId": str(uuid.uuid4())} for at in range(count)]


def reference_batches(total: int, size: int) -> list[Events]:
    """Reference events, encoded as a client sends them, in batches."""
    return [encode_events(reference_events(size)) for _ in range(total // size)]


@contextlib.contextmanager
def daemon(
    *arguments: str, log: Path | None = None, data: Path | None = None, module: str = "engine"
) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """`engine serve` as a process of its own, on `data` or a temporary directory; stopped by SIGTERM.

    `module` has the command line.
    """
    with (
        tempfile.TemporaryDirectory(prefix="engine-bench-")
        if data is None
        else contextlib.nullcontext(data) as folder
    ):
        socket = f"{folder}/engine.sock"
        with (log or Path(os.devnull)).open("ab") as output:
            command = [
                sys.executable,
                "-m",
                module,
                "serve",
                "--data-dir",
                str(folder),
                "--socket",
                socket,
                *arguments,
            ]
            process = subprocess.Popen(command, stderr=output, stdout=output)
        try:
            yield wait_for_daemon(socket, process), process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


def wait_for_daemon(socket: str, process: subprocess.Popen[bytes], timeout_s: float = 20.0) -> Client:
    """Connect as soon as it listens. Raises `RuntimeError` if it ends, or takes too long."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        if Path(socket).exists():
            with contextlib.suppress(Exception):
                return Client(socket)
        time.sleep(0.01)
    raise RuntimeError(f"the daemon did not start (exit status {process.poll()})")


def repeat(run: Callable[[], float], times: int) -> list[float]:
    """A warm-up that isn't counted, then `times` runs."""
    run()
    return [run() for _ in range(times)]


def percentile(values: list[float], percent: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

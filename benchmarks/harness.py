"""What programs share: a daemon in a temporary directory or one that runs already, the reference event and handler."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.client import Client
from engine.events import encode_events, split_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from benchmarks.suite.program import Conditions
    from sandbox.wire import Events

RECORDED: Final = Path(__file__).parent / "data" / "recorded.ndjson"
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
STOP_S_MAX: Final = 30.0
Seen = TypeVar("Seen")


# --- Events


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
    """Reference events, encoded as a client sends them, in submits of `size`."""
    return [encode_events(reference_events(size)) for _ in range(total // size)]


def in_chunks(batches: Iterable[Events]) -> list[Events]:
    """The same events in submits that are one chunk each: as the client cuts what is larger."""
    return [chunk for events in batches for chunk in split_chunks(events)]


# --- Daemons


@contextlib.contextmanager
def daemon(
    *arguments: str,
    log: Path | None = None,
    data: Path | None = None,
    module: str = "engine",
    settings: Mapping[str, int | str] | None = None,
) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """`engine serve` as a process of its own, on `data` or a temporary directory; stopped by SIGTERM.

    `module` has the command line; `settings` are the daemon's, by name.
    """
    with (
        tempfile.TemporaryDirectory(prefix="engine-bench-")
        if data is None
        else contextlib.nullcontext(data) as folder
    ):
        socket = f"{folder}/engine.sock"
        command = [sys.executable, "-m", module, "serve", "--data-dir", str(folder), "--socket", socket]
        with (log or Path(os.devnull)).open("ab") as output:
            process = subprocess.Popen(
                [*command, *arguments],
                stderr=output,
                stdout=output,
                env=os.environ
                | {f"ENGINE_{name.upper()}": str(value) for name, value in (settings or {}).items()},
            )
        try:
            yield wait_for_daemon(socket, process), process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(STOP_S_MAX)


def wait_for_daemon(socket: str, process: subprocess.Popen[bytes], timeout_s: float = 20.0) -> Client:
    """Connect as soon as it listens. Raises `RuntimeError` if it ends, or takes too long."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        if Path(socket).exists():
            with contextlib.suppress(Exception):
                return Client(socket)
        time.sleep(0.01)
    raise RuntimeError(f"the daemon did not start (exit status {process.poll()})")


def http_address(log: Path, timeout_s: float = 20.0) -> str:
    """Where HTTP is served, as a daemon with `--http` and `--json` says when it is ready."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for line in log.read_text("utf-8").splitlines():
            if line.startswith("{"):
                return str(json.loads(line)["http"])
        time.sleep(0.01)
    raise RuntimeError("the gateway did not start")


class Subject:
    """Owner of what a program deploys to the daemon that it measures; takes it away again."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._prefix = f"bench-{uuid.uuid4().hex[:8]}"
        """Nobody's destination has such a name: nothing that is there already is touched."""
        self._names: list[str] = []

    def deploy(
        self, source: str = REFERENCE_SOURCE, *, limits: dict[str, int] | None = None, **settings: object
    ) -> str:
        """A destination of its own for this code, with the reference settings unless others are given; its name."""
        name = f"{self._prefix}-{len(self._names)}"
        self._names.append(name)
        self.client.deploy(name, source, settings=settings or dict(REFERENCE_SETTINGS), limits=limits or {})
        return name

    def remove_all(self) -> None:
        """Destinations and functions."""
        for name in self._names:
            with contextlib.suppress(Exception):  # it may be one that was refused; the others still go
                self.client.remove(name, discard=True)
                self.client.functions.remove(name)


@contextlib.contextmanager
def subject(conditions: Conditions, *arguments: str, **options: Any) -> Iterator[Subject]:
    """The daemon that runs already, if the conditions name one; else one started as by `daemon`."""
    if not conditions.socket:
        with daemon(*arguments, **options) as (client, _):
            yield Subject(client)
        return
    with Client(conditions.socket) as client:
        guest = Subject(client)
        try:
            yield guest
        finally:
            guest.remove_all()


# --- Measuring


def delivered_per_s(client: Client, name: str, batches: Iterable[Events], **options: Any) -> float:
    """Submit them all, pipelined over one connection, until each event has had its first outcome; events a second.

    `options` are those of `submit_many`. Raises `RuntimeError` if one wasn't delivered.
    """
    count = 0

    def counted() -> Iterator[Events]:
        nonlocal count
        for events in batches:
            count += len(events.sizes)
            yield events

    delivered = 0
    begun = time.perf_counter()
    for result in client.submit_many(name, counted(), wait=True, **options):
        delivered += result.delivered
    elapsed_s = time.perf_counter() - begun
    if delivered != count:
        raise RuntimeError(f"{delivered} of {count} events were delivered")
    return count / elapsed_s


def in_turns(pairs: int, first: Callable[[], Seen], second: Callable[[], Seen]) -> list[tuple[Seen, Seen]]:
    """So many pairs of both, each the first to run as often: a machine that slows down slows both."""
    values = []
    for at in range(pairs):
        if at % 2:
            later = second()
            values.append((first(), later))
        else:
            values.append((first(), second()))
    return values


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll. Raises `RuntimeError`, saying what didn't happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} didn't happen within {timeout_s:g} s")
        time.sleep(0.02)

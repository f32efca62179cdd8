"""`backlog`: ten million events stored, against an empty journal: start, submit, drain, and the daemon's memory.

The events are small (about 220 bytes, so that they take under three gigabytes and not ten) and each has an id of its own that
the journal knows. They are written to the journal before the daemon starts, in chunks of 100, for a destination that is
paused; events are submitted to it; it is resumed, and what it delivers in `DRAIN_S` is counted. The same is done
with a journal that holds no more than what is drained.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgpack
import psutil

from benchmarks.harness import Figure, daemon, figure
from engine.clock import SystemClock
from engine.journal.contract import Claim
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk
from sandbox.wire import MIB, Events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.client import Client

STORED: Final = 10_000_000
ALONE: Final = 600_000
"""What the other journal holds: enough for the drain, a sixteenth of the backlog."""
SIZE: Final = 100
SUBMITTED: Final = 100_000
DRAIN_S: Final = 4.0
TOGETHER: Final = 40
SOURCE: Final = "def on_track(event, settings):\n    return event['event']\n"
_BODY: Final = msgpack.packb(
    {
        "type": "track",
        "messageId": "0" * 36,
        "userId": "u" * 36,
        "event": "Order Completed",
        "timestamp": "2026-11-24T12:00:00.000Z",
        "properties": {"revenue": 12.5, "currency": "EUR"},
    }
)
_BEFORE, _AFTER = _BODY.split(b"0" * 36)


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one journal."""

    start_s: float
    submit_rate: float
    drain_rate: float
    rss_max_mib: float


def measure(_floor: float | None, runs: int) -> list[Figure]:
    """A backlog takes a minute to write: a third of the runs, one at least."""
    pairs = [(_run(ALONE), _run(STORED)) for _ in range(max(1, runs // 3))]
    full = [pair[1] for pair in pairs]
    return [
        figure("backlog_start", "s", [seen.start_s for seen in full]),
        figure("backlog_start_extra", "s", [b.start_s - a.start_s for a, b in pairs]),
        figure("backlog_submit", "events/s", [seen.submit_rate for seen in full]),
        figure("backlog_submit_ratio", "of empty", [b.submit_rate / a.submit_rate for a, b in pairs]),
        figure("backlog_drain", "events/s", [seen.drain_rate for seen in full]),
        figure("backlog_drain_ratio", "of empty", [b.drain_rate / a.drain_rate for a, b in pairs]),
        figure("backlog_rss_max", "MiB", [seen.rss_max_mib for seen in full]),
    ]


def _run(stored: int) -> Seen:
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder:
        with daemon(data=Path(folder)) as (client, _):
            client.deploy("backlog", SOURCE)
            client.pause("backlog")
        asyncio.run(_fill(Path(folder) / "journal.db", stored))
        begun = time.perf_counter()
        with daemon(data=Path(folder)) as (client, process):
            start_s = time.perf_counter() - begun
            if client.show("backlog")["stored"] != stored:
                raise RuntimeError("the backlog is not what was written")
            memory = psutil.Process(process.pid)
            submit_rate = _submit(client)
            rss = memory.memory_info().rss
            drain_rate, rss_draining = _drain(client, memory)
        return Seen(start_s, submit_rate, drain_rate, max(rss, rss_draining) / MIB)


async def _fill(path: Path, count: int) -> None:
    """Destination 1 is the first that was deployed."""
    clock = SystemClock()
    journal = SqliteJournal.open(path, clock=clock)
    for _ in range(count // SIZE // TOGETHER):
        now_ms = clock.now_ms()
        chunks = [Chunk(1, events, now_ms, now_ms) for events in _batches(TOGETHER)]
        claims = [Claim(at, 0, SIZE, 1) for at in range(TOGETHER)]
        journal.release(await journal.append(chunks, claims=claims))
    await journal.close()


def _batches(count: int) -> Iterator[Events]:
    for _ in range(count):
        ids = [str(uuid.uuid4()) for _ in range(SIZE)]
        bodies = b"".join(_BEFORE + one.encode() + _AFTER for one in ids)
        yield Events(b"\x01" * SIZE, ids, ["u" * 36] * SIZE, {}, [len(_BODY)] * SIZE, bodies)


def _submit(client: Client) -> float:
    batches = list(_batches(SUBMITTED // SIZE))
    begun = time.perf_counter()
    for result in client.submit_many("backlog", batches):
        if result.accepted != SIZE:
            raise RuntimeError("an event wasn't accepted")
    return SUBMITTED / (time.perf_counter() - begun)


def _drain(client: Client, memory: psutil.Process) -> tuple[float, int]:
    client.resume("backlog")
    while not client.show("backlog")["by_code"].get("delivered"):
        time.sleep(0.01)
    rss_max, begun = 0, time.perf_counter()
    before = client.show("backlog")["by_code"]["delivered"]
    while (elapsed_s := time.perf_counter() - begun) < DRAIN_S:
        rss_max = max(rss_max, memory.memory_info().rss)
        time.sleep(0.1)
    shown = client.show("backlog")
    if not shown["stored"]:
        raise RuntimeError("the backlog was drained before it could be measured")
    elapsed_s = time.perf_counter() - begun
    return (shown["by_code"]["delivered"] - before) / elapsed_s, rss_max

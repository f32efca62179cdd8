"""`backlog`: ten million events stored, against an empty journal: start, submit, drain, and the daemon's memory.

The events are small (about 220 bytes, so that they take under three gigabytes and not ten) and each has an id of its own that
the journal knows. They are written to the journal before the daemon starts, in chunks of 100, for a destination that is
paused; events are submitted to it; it is resumed, and what it delivers in four seconds is counted. The same is done
with a journal that holds 600,000 (`alone`): no more than what is drained.
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

from benchmarks.harness import daemon
from benchmarks.suite.program import Conditions, Measure, Program
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


def run(conditions: Conditions) -> dict[str, float]:
    """Of the full journal, and of it against the other."""
    empty, full = (_seen(stored, conditions) for stored in conditions.pick((ALONE, STORED), (20_000, 20_000)))
    return {
        "backlog_start": full.start_s,
        "backlog_start_more": full.start_s - empty.start_s,
        "backlog_submit_alone": empty.submit_rate,
        "backlog_submit": full.submit_rate,
        "backlog_drain_alone": empty.drain_rate,
        "backlog_drain": full.drain_rate,
        "backlog_rss_max": full.rss_max_mib,
    }


def _seen(stored: int, conditions: Conditions) -> Seen:
    submits, drain_s = conditions.pick((SUBMITTED // SIZE, DRAIN_S), (10, 0.1))
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
            submit_rate = _submit(client, submits)
            rss = memory.memory_info().rss
            drain_rate, rss_draining = _drain(client, memory, drain_s)
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


def _submit(client: Client, submits: int) -> float:
    batches = list(_batches(submits))
    begun = time.perf_counter()
    for result in client.submit_many("backlog", batches):
        if result.accepted != SIZE:
            raise RuntimeError("an event wasn't accepted")
    return submits * SIZE / (time.perf_counter() - begun)


def _drain(client: Client, memory: psutil.Process, drain_s: float) -> tuple[float, int]:
    client.resume("backlog")
    while not client.show("backlog")["by_code"].get("delivered"):
        time.sleep(0.01)
    rss_max, begun = 0, time.perf_counter()
    before = client.show("backlog")["by_code"]["delivered"]
    while (elapsed_s := time.perf_counter() - begun) < drain_s:
        rss_max = max(rss_max, memory.memory_info().rss)
        time.sleep(min(0.1, drain_s))
    shown = client.show("backlog")
    if not shown["stored"]:
        raise RuntimeError("the backlog was drained before it could be measured")
    elapsed_s = time.perf_counter() - begun
    return (shown["by_code"]["delivered"] - before) / elapsed_s, rss_max


PROGRAM: Final = Program(
    (
        Measure("backlog_start", "s", "less"),
        Measure("backlog_start_more", "s", "less"),
        Measure("backlog_submit_alone", "events/s"),
        Measure("backlog_submit", "events/s", baseline="backlog_submit_alone"),
        Measure("backlog_drain_alone", "events/s"),
        Measure("backlog_drain", "events/s", baseline="backlog_drain_alone"),
        Measure("backlog_rss_max", "MiB", "less"),
    ),
    run,
    warm_up="none",
    runs_share=0.3,  # a backlog takes a minute to write
)

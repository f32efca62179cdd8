"""`dedupe`: what it costs that message ids are known: submits of 100 with the ids judged, against submits that bypass it.

Each run is a fresh daemon on a journal that knows `KNOWN` ids already. With and without take turns within it, so that
both see the same machine; all events have ids of their own.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, Figure, daemon, figure, reference_batches
from engine.clock import SystemClock
from engine.journal.dedupe.index import DedupeIndex
from engine.journal.store import Store

if TYPE_CHECKING:
    from engine.client import Client

KNOWN: Final = 2_000_000
PAIRS: Final = 5
EVENTS: Final = 50_000
SIZE: Final = 100


def measure(floor: float | None, runs: int) -> list[Figure]:
    """Events a second with and without, and the ratio of the two: the median of the pairs of a run."""
    rates_with: list[float] = []
    rates_without: list[float] = []
    ratios: list[float] = []
    for _ in range(max(1, runs // 2)):
        pairs = _run()
        rates_with.append(statistics.median(pair[0] for pair in pairs))
        rates_without.append(statistics.median(pair[1] for pair in pairs))
        ratios.append(statistics.median(pair[0] / pair[1] for pair in pairs))
    return [
        figure("dedupe_with", "events/s", rates_with, floor=floor),
        figure("dedupe_without", "events/s", rates_without, floor=floor),
        figure("dedupe_ratio", "with/out", ratios),
    ]


def _run() -> list[tuple[float, float]]:
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder:
        know(Path(folder) / "journal.db")
        with daemon(data=Path(folder)) as (client, _):
            client.deploy("reference", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
            _rate(client, dedupe=True)
            return [(_rate(client, dedupe=True), _rate(client, dedupe=False)) for _ in range(PAIRS)]


def know(journal: Path) -> None:
    """Make a journal at this path that has accepted `KNOWN` ids, and has swept most of them."""
    store = Store(journal)
    index = DedupeIndex(store, window_s=24 * 3600, bytes_max=1 << 30)
    now_s = SystemClock().now_ms() // 1000
    for _ in range(KNOWN // 10_000):
        index.judge(0, [str(uuid.uuid4()) for _ in range(10_000)], now_s)
        with store.transaction():
            index.write(now_s)
        index.keep(now_s)
        index.tidy(now_s)
        while index.is_sweeping:
            index.tidy(now_s)
    index.close()
    store.close()


def _rate(client: Client, *, dedupe: bool) -> float:
    batches = reference_batches(EVENTS, SIZE)
    delivered = 0
    begun = time.perf_counter()
    for result in client.submit_many("reference", batches, wait=True, dedupe=dedupe):
        delivered += result.delivered
    elapsed_s = time.perf_counter() - begun
    if delivered != EVENTS:
        raise RuntimeError(f"{delivered} of {EVENTS} events were delivered")
    return EVENTS / elapsed_s

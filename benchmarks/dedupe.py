"""`dedupe`: what it costs that message ids are known: submits of 100 with the ids judged, against submits that bypass it.

A fresh daemon on a journal that knows two million ids already. With and without take turns within it, five pairs, so
that both see the same machine; all events have ids of their own. `dedupe_share` is the median of the pairs' ratios.
"""

from __future__ import annotations

import statistics
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.harness import (
    REFERENCE_SETTINGS,
    REFERENCE_SOURCE,
    daemon,
    delivered_per_s,
    in_turns,
    reference_batches,
)
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program
from engine.clock import SystemClock
from engine.journal.dedupe.index import DedupeIndex
from engine.journal.store import Store

if TYPE_CHECKING:
    from engine.client import Client

KNOWN: Final = 2_000_000
PAIRS: Final = 5
EVENTS: Final = 50_000
SIZE: Final = 100


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second, and their ratio."""
    known, pairs, events = conditions.pick((KNOWN, PAIRS, EVENTS), (20_000, 1, 1_000))
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder:
        know(Path(folder) / "journal.db", known)
        with daemon(data=Path(folder)) as (client, _):
            client.deploy("reference", REFERENCE_SOURCE, settings=REFERENCE_SETTINGS)
            _rate(client, events, dedupe=True)
            seen = in_turns(
                pairs,
                lambda: _rate(client, events, dedupe=True),
                lambda: _rate(client, events, dedupe=False),
            )
    return {
        "dedupe_with": statistics.median(judged for judged, _ in seen),
        "dedupe_without": statistics.median(bypassed for _, bypassed in seen),
        "dedupe_share": statistics.median(judged / bypassed for judged, bypassed in seen),
    }


def know(journal: Path, known: int) -> None:
    """Make a journal at this path that has accepted so many ids, and has swept most of them."""
    store = Store(journal)
    index = DedupeIndex(store, window_s=24 * 3600, bytes_max=1 << 30)
    now_s = SystemClock().now_ms() // 1000
    for _ in range(known // 10_000):
        index.judge(0, [str(uuid.uuid4()) for _ in range(10_000)], now_s)
        with store.transaction():
            index.write(now_s)
        index.keep(now_s)
        index.tidy(now_s)
        while index.is_sweeping:
            index.tidy(now_s)
    index.close()
    store.close()


def _rate(client: Client, events: int, *, dedupe: bool) -> float:
    return delivered_per_s(client, "reference", reference_batches(events, SIZE), dedupe=dedupe)


PROGRAM: Final = Program(
    (
        Measure("dedupe_with", "events/s", baseline=FLOOR),
        Measure("dedupe_without", "events/s", baseline=FLOOR),
        Measure("dedupe_share", "of without"),
    ),
    run,
    warm_up="one burst with ids judged",
    runs_share=0.5,
)

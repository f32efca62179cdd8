"""What the Celery worker runs. Broker and results: the Redis whose socket stands in `ENGINE_BENCH_REDIS`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from benchmarks.peers.work import handle

REDIS = f"redis+socket://{os.environ['ENGINE_BENCH_REDIS']}"
app = Celery("benchmarks", broker=REDIS, backend=REDIS)
# Its guide to optimizing: many short tasks want a large prefetch; nothing here needs events, late acknowledgement or state.
app.conf.update(worker_prefetch_multiplier=128, task_acks_late=False, worker_send_task_events=False)


@app.task(name="handle")  # type: ignore[untyped-decorator] # it has no types
def handle_task(event: dict[str, Any]) -> int:
    """One event."""
    return handle(event)

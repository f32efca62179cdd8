"""Celery with Redis as broker and for results: a task an event, in groups; and its `chunks` of 100.

Prefork worker with a prefetch of 128 a process, without gossip, mingle, heartbeat and events; Redis on a Unix socket, without
persistence. The results are waited for together.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import reference_events
from benchmarks.peers.contestants import Missing

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 100
START_S_MAX = 30.0
WAIT_S_MAX = 120


def run(events: int) -> dict[str, float]:
    """Events a second."""
    import celery  # noqa: F401, PLC0415  it may be missing
    import redis  # noqa: F401, PLC0415  it may be missing

    if shutil.which("redis-server") is None:
        raise Missing("there is no redis-server: install the system's package redis-server")
    made = reference_events(events)
    seen = {}
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder, _redis(folder) as socket:
        os.environ["ENGINE_BENCH_REDIS"] = socket
        for worker, workers in (("_one_worker", 1), ("", os.cpu_count() or 1)):
            with _worker(workers):
                _group(made[: max(CHUNK, events // 5)])
                seen[f"celery{worker}"] = _group(made)
                seen[f"celery_chunks_100{worker}"] = _chunks(made * 5)
    return seen


@contextlib.contextmanager
def _redis(folder: str) -> Iterator[str]:
    socket = f"{folder}/redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
    with _running([*command, "--dir", folder]):
        deadline = time.monotonic() + START_S_MAX
        while not Path(socket).exists():
            if time.monotonic() > deadline:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.01)
        yield socket


@contextlib.contextmanager
def _worker(workers: int) -> Iterator[None]:
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "benchmarks.peers.celery_app",
        "worker",
        "--pool",
        "prefork",
    ]
    options = ["--concurrency", str(workers), "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with _running([*command, *options, "--loglevel", "ERROR"]):
        _group(reference_events(1))  # it is there
        yield


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(START_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _group(events: list[dict[str, Any]]) -> float:
    from celery import group  # noqa: PLC0415  it may be missing

    from benchmarks.peers.celery_app import handle_task  # noqa: PLC0415  it reads where Redis is

    begun = time.perf_counter()
    group(handle_task.s(event) for event in events).apply_async().join_native(timeout=WAIT_S_MAX)
    return len(events) / (time.perf_counter() - begun)


def _chunks(events: list[dict[str, Any]]) -> float:
    from benchmarks.peers.celery_app import handle_task  # noqa: PLC0415  it reads where Redis is

    begun = time.perf_counter()
    handle_task.chunks([(event,) for event in events], CHUNK).group().apply_async().join_native(
        timeout=WAIT_S_MAX
    )
    return len(events) / (time.perf_counter() - begun)

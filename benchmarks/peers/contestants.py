"""Who runs beside the engine, and what each gives up. A table."""

from __future__ import annotations

from typing import Final, NamedTuple


class Missing(Exception):
    """What a contestant needs isn't there; the message says how to get it."""


class Contestant(NamedTuple):
    """One way to run a function on events."""

    module: str
    title: str
    gives: tuple[str, ...]
    """Its figures."""
    durability: str
    isolation: str
    limits: str


def _each(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{worker}" for name in names for worker in ("_one_worker", ""))


CONTESTANTS: Final = (
    Contestant(
        "ourselves",
        "engine, in submits of 100 and of 1",
        _each("ours_100", "ours_1", "ours_encoded_100"),
        "fsync before the acknowledgement",
        "restricted language, jailed process a destination",
        "time, memory, output",
    ),
    Contestant(
        "process_pool",
        "ProcessPoolExecutor: `submit`; `map` with chunks of 100",
        _each("executor_submit", "executor_map_100"),
        "none",
        "none: the worker is a copy of the caller",
        "none",
    ),
    Contestant(
        "pebble_pool",
        "pebble: `schedule` with a timeout",
        _each("pebble"),
        "none",
        "none: the worker is a copy of the caller",
        "time",
    ),
    Contestant(
        "monty_session",
        "pydantic-monty: a session",
        ("monty",),
        "none",
        "an interpreter of its own for a part of Python, in a process",
        "time, memory where they are set",
    ),
    Contestant(
        "celery_redis",
        "Celery and Redis: a task an event; chunks of 100",
        _each("celery", "celery_chunks_100"),
        "none as run here; Redis may write behind",
        "none: trusted code in a worker",
        "time where it is set",
    ),
    Contestant(
        "isolated_vm",
        "isolated-vm in Node, in process",
        ("isolated_vm",),
        "none",
        "a V8 isolate in the caller's process",
        "time, memory; what breaks out or exhausts V8 takes the caller along",
    ),
)

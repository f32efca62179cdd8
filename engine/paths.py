"""What every command needs and no more: where things are, and the names of a destination's limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_OPTIONS: Final = (
    ("timeout_ms", "Deadline of an invocation."),
    ("memory_mib", "Memory of a worker."),
    ("concurrency", "Invocations at once."),
    ("batch_size", "Events that close a batch."),
    ("batch_wait_ms", "The longest that a batch waits."),
    ("retry_first_ms", "About the first pause before a retry."),
    ("retry_cap_ms", "The longest pause between retries."),
    ("retry_for_s", "How long after acceptance a failure is retried."),
    ("rate_per_s", "Deliveries a second; 0 is no limit."),
    ("queue_events", "Events that may be stored; 0 is no limit."),
)
"""Limits that a destination may choose: name and what it means."""


def default_data_dir(env: Mapping[str, str]) -> Path:
    """`ENGINE_DATA_DIR`, else `~/.local/state/engine`."""
    configured = env.get("ENGINE_DATA_DIR")
    return Path(configured) if configured else Path("~/.local/state/engine").expanduser()


def default_socket(env: Mapping[str, str]) -> Path:
    """`ENGINE_SOCKET`, else `engine.sock` in the data directory."""
    configured = env.get("ENGINE_SOCKET")
    return Path(configured) if configured else default_data_dir(env) / "engine.sock"


def default_token(env: Mapping[str, str]) -> str | None:
    """`ENGINE_TOKEN`: in the environment, because arguments of a process are seen by all."""
    return env.get("ENGINE_TOKEN") or None

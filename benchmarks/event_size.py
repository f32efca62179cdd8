"""`event_size`: events of 0.2, 1, 10 and 30 KiB, client to first outcome, durable, in chunks of up to 100 (512 KiB).

An order with as many items as make the size; the reference handler copies its properties. Each size has a destination of its own.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import msgpack

from benchmarks.harness import delivered_per_s, in_chunks, subject
from benchmarks.suite.program import Conditions, Measure, Program
from engine.events import encode_events
from sandbox.wire import KIB

if TYPE_CHECKING:
    from sandbox.wire import Events

BYTES_A_RUN: Final = 60_000_000
EVENTS_MAX: Final = 100_000
SIZES_KIB: Final = {"0_2": 0.2, "1": 1, "10": 10, "30": 30}


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second, and MB a second."""
    seen = {}
    with subject(conditions) as daemon:
        for name, size_kib in SIZES_KIB.items():
            size = round(size_kib * KIB)
            count = conditions.pick(min(EVENTS_MAX, BYTES_A_RUN // size) // 100 * 100, 100)
            destination = daemon.deploy()
            for some in (max(100, count // 500 * 100), count):
                rate = delivered_per_s(daemon.client, destination, _chunks(some, size))
            seen[f"event_size_{name}"] = rate
            seen[f"event_size_{name}_bytes"] = rate * size / 1e6
    return seen


def _chunks(count: int, size: int) -> list[Events]:
    template = event_of(size)
    return in_chunks(
        encode_events([{**template, "messageId": str(uuid.uuid4())} for _ in range(100)])
        for _ in range(count // 100)
    )


def event_of(size: int) -> dict[str, Any]:
    """A track event of about so many bytes as msgpack, from 200 on: an order with many items."""
    event: dict[str, Any] = {
        "type": "track",
        "event": "Order Completed",
        "userId": "user-1234",
        "messageId": "0" * 36,
        "timestamp": "2026-11-24T12:00:00.000Z",
        "properties": {"revenue": 12.5, "currency": "EUR"},
    }
    items: list[dict[str, Any]] = []
    while len(msgpack.packb(event)) < size - 120:
        items.append(
            {"sku": f"sku-{len(items):05}", "name": "A thing with a name", "price": 9.75, "quantity": 2}
        )
        event["properties"]["products"] = items
    missing = size - len(msgpack.packb(event)) - len("note") - 3
    return {**event, "note": "x" * missing} if missing > 0 else event


PROGRAM: Final = Program(
    tuple(
        measure
        for name in SIZES_KIB
        for measure in (
            Measure(f"event_size_{name}", "events/s", baseline="event_size_1" if name != "1" else ""),
            Measure(f"event_size_{name}_bytes", "MB/s"),
        )
    ),
    run,
    warm_up="a fifth of the events",
    may_use_running=True,
)

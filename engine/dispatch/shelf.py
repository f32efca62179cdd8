"""Looking at stored deliveries, and replaying those on the shelf: in steps, so that neither delays anybody."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from engine.journal.contract import Filter
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.clock import Clock
    from engine.dispatch.dispatcher import Dispatcher
    from engine.dispatch.lane import Lane
    from engine.journal.contract import Cursor, Delivery, DeliveryId, Journal

PAGE: Final = 100
REPLAY_STEP: Final = 500
REPLAY_PER_S: Final = 5_000
"""Slower than one destination is worked off, so that what is fresh isn't buried under what is replayed."""


async def deliveries(
    journal: Journal, lane: Lane, state: str, where: Filter
) -> AsyncIterator[dict[str, Any]]:
    """Those in a state (`contract.STATES`) for which the filter holds; one that is named wherever it is."""
    destination_id = lane.destination.id
    if where.delivery is not None:
        found = await journal.find(destination_id, where.delivery)
        if found is not None:
            yield as_map(found)
        return
    cursor: Cursor | None = None
    while True:
        page = await journal.deliveries(destination_id, state, where, limit=PAGE, cursor=cursor)
        for delivery in page.deliveries:
            yield as_map(delivery)
        cursor = page.cursor
        if cursor is None:
            return
        await asyncio.sleep(0)


def asked(state: str, where: Filter, limit: int | None) -> dict[str, Any]:
    """What is to be replayed, for the audit: what was given of it."""
    delivery = None if where.delivery is None else "{}.{}".format(*where.delivery)
    given = {"state": state, "limit": limit, **asdict(where), "delivery": delivery}
    return {name: value for name, value in given.items() if value is not None}


async def replay(
    journal: Journal,
    dispatcher: Dispatcher,
    clock: Clock,
    lane: Lane,
    *,
    state: str,
    where: Filter,
    limit: int | None,
    dry_run: bool,
) -> AsyncIterator[dict[str, Any]]:
    """Put deliveries of the shelf back into the queue, the oldest first; after each step, how many by now.

    What was put back is off the shelf in the same transaction: a replay that was broken off is continued by asking
    again, and nothing is replayed twice. What is shelved while it runs isn't part of it.
    """
    total, cursor = 0, None
    until_ms = clock.now_ms() if where.until_ms is None else where.until_ms
    where = Filter(where.code, where.since_ms, until_ms, where.delivery)
    begun = clock.monotonic()
    while True:
        step_limit = REPLAY_STEP if limit is None else min(REPLAY_STEP, limit - total)
        step = await journal.replay(
            lane.destination.id, state, where, limit=step_limit, cursor=cursor, dry_run=dry_run
        )
        total, cursor = total + step.deliveries, step.cursor
        if step.deliveries and not dry_run:
            dispatcher.wake(lane, 0)
        is_done = cursor is None or total == limit
        yield {"replayed": total, "is_done": is_done, "dry_run": dry_run}
        if is_done:
            return
        await asyncio.sleep(0 if dry_run else max(0.0, total / REPLAY_PER_S - (clock.monotonic() - begun)))


def as_map(delivery: Delivery) -> dict[str, Any]:
    """For clients. The body is as it was submitted, undecoded: the client unpacks it."""
    detail = wire.Detail.unpack(delivery.detail) if delivery.detail else wire.Detail()
    return {
        "id": "{}.{}".format(*delivery.id),
        "state": delivery.state,
        "code": delivery.code,
        "attempt": delivery.attempt,
        "accepted": _iso(delivery.accepted_ms),
        "at": _iso(delivery.at_ms),
        "event_type": wire.EVENT_TYPES[delivery.event.types[0]],
        "message_id": delivery.event.message_ids[0],
        "error": detail.error,
        "logs": detail.logs,
        "body": delivery.event.bodies,
    }


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def delivery_id(text: str) -> DeliveryId:
    """`CHUNK.INDEX` as two numbers; the pattern of the request has checked it."""
    chunk, _, index = text.partition(".")
    return int(chunk), int(index)

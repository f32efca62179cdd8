"""What each operation of `table` calls: `CALLS[name](core, request)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.api.control import CONTROL_CALLS, Call
from engine.dispatch.shelf import delivery_id
from engine.events import encode_events
from engine.journal.contract import Filter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.api import requests as ask
    from engine.dispatch.core import Core


async def _test(core: Core, request: ask.Test) -> Any:
    return await core.test(**{**dict(request), "events": encode_events(request.events)})


async def _list(core: Core, _request: ask.Nothing) -> Any:
    return core.looking.destinations()


async def _show(core: Core, request: ask.Named) -> Any:
    return await core.looking.show(request.name)


async def _remove(core: Core, request: ask.Remove) -> Any:
    return await core.remove(request.name, discard=request.discard)


async def _pause(core: Core, request: ask.Named) -> Any:
    return core.pause(request.name)


async def _resume(core: Core, request: ask.Named) -> Any:
    return core.resume(request.name)


async def _stats(core: Core, _request: ask.Nothing) -> Any:
    return await core.overview.stats()


async def _metrics(core: Core, _request: ask.Nothing) -> Any:
    return await core.overview.metrics()


async def _ready(core: Core, _request: ask.Nothing) -> Any:
    return await core.overview.ready()


async def _count_http(core: Core, request: ask.HttpCount) -> Any:
    seconds = {name: (item.counts, item.sum) for name, item in request.seconds.items()}
    core.overview.http.count(request.requests, seconds)
    return {}


async def _workers(core: Core, _request: ask.Nothing) -> Any:
    return core.workers()


def _where(request: ask.Filtered) -> Filter:
    return Filter(
        request.code, request.since_ms, request.until_ms, delivery_id(request.id) if request.id else None
    )


def _deliveries(core: Core, request: ask.Deliveries) -> AsyncIterator[dict[str, Any]]:
    return core.looking.deliveries(request.name, state=request.state, where=_where(request))


def _replay(core: Core, request: ask.Replay) -> AsyncIterator[dict[str, Any]]:
    return core.replay(
        request.name,
        state=request.state,
        where=_where(request),
        limit=request.limit,
        dry_run=request.dry_run,
    )


async def _health(core: Core, request: ask.Health) -> Any:
    return await core.looking.health(request.name)


def _logs(core: Core, request: ask.Logs) -> AsyncIterator[dict[str, Any]]:
    return core.looking.logs(**dict(request))


CALLS: Final[dict[str, Call]] = {
    **CONTROL_CALLS,
    "test": _test,
    "list": _list,
    "show": _show,
    "remove": _remove,
    "pause": _pause,
    "resume": _resume,
    "stats": _stats,
    "metrics": _metrics,
    "ready": _ready,
    "http.count": _count_http,
    "workers": _workers,
    "deliveries": _deliveries,
    "replay": _replay,
    "health": _health,
    "logs": _logs,
}

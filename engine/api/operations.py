"""The table of operations: name → request model and what is called. Streams are marked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, ValidationError

from engine.api.control import CONTROL_OPERATIONS
from engine.api.requests import (
    TIME_MS_MAX,
    Filename,
    Name,
    Named,
    Nothing,
    Operation,
    Request,
    Settings,
    Source,
)
from engine.dispatch.shelf import delivery_id
from engine.errors import UsageError
from engine.events import encode_events
from engine.journal.contract import Filter
from sandbox.wire import BATCH_EVENTS_MAX, OUTCOME_CODES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.dispatch.core import Core


LOGS_MAX: Final = 10_000
"""Attempts of one call of `logs`."""


def _identified(name: str) -> str:
    if not re.fullmatch(r"[0-9]{1,18}\.[0-9]{1,4}", name):
        raise ValueError(f"a delivery is named CHUNK.INDEX, as in 17.3; not {name[:40]!r}")
    return name


Id: TypeAlias = Annotated[str, AfterValidator(_identified)]


def _known(code: str) -> str:
    if code not in OUTCOME_CODES:
        raise ValueError(f"{code[:40]!r} is no outcome; there are {', '.join(OUTCOME_CODES)}")
    return code


Code: TypeAlias = Annotated[str, AfterValidator(_known)]


class Test(Request):
    """A function's source and events to try it with."""

    source: Source
    filename: Filename = "function.py"
    events: list[dict[str, Any]] = Field(min_length=1, max_length=BATCH_EVENTS_MAX)
    settings: Settings = Field(default={})
    limits: dict[str, int] = Field(default={})
    batch: bool = False


class Remove(Named):
    """A destination to forget."""

    discard: bool = False


class Logs(Named):
    """A destination whose failures, or attempts, are wanted: the newest `limit` since then that ended so."""

    follow: bool = False
    since_ms: int = Field(default=0, ge=0, le=TIME_MS_MAX)
    code: Code | None = None
    limit: int = Field(default=100, ge=0, le=LOGS_MAX)


class Health(Request):
    """One destination, or all."""

    name: Name | None = None


class Filtered(Named):
    """Deliveries of a destination. Times are milliseconds since the epoch; `id` is `CHUNK.INDEX`."""

    code: str | None = Field(default=None, min_length=1, max_length=40)
    since_ms: int | None = Field(default=None, ge=0, le=TIME_MS_MAX)
    until_ms: int | None = Field(default=None, ge=0, le=TIME_MS_MAX)
    id: Id | None = None

    def where(self) -> Filter:
        """For the journal."""
        return Filter(self.code, self.since_ms, self.until_ms, delivery_id(self.id) if self.id else None)


class Deliveries(Filtered):
    """Stored deliveries to look at."""

    state: Literal["shelved", "dead", "discarded", "waiting", "running"] = "shelved"


class Replay(Filtered):
    """Deliveries of the shelf to run again."""

    state: Literal["shelved", "dead", "discarded"] = "shelved"
    limit: int | None = Field(default=None, ge=1, le=10**12)
    dry_run: bool = False


async def _test(core: Core, request: Test) -> Any:
    return await core.test(**{**dict(request), "events": encode_events(request.events)})


async def _list(core: Core, _request: Nothing) -> Any:
    return core.list_destinations()


async def _show(core: Core, request: Named) -> Any:
    return await core.show(request.name)


async def _remove(core: Core, request: Remove) -> Any:
    return await core.remove(request.name, discard=request.discard)


async def _pause(core: Core, request: Named) -> Any:
    return core.pause(request.name)


async def _resume(core: Core, request: Named) -> Any:
    return core.resume(request.name)


async def _stats(core: Core, _request: Nothing) -> Any:
    return await core.stats()


async def _workers(core: Core, _request: Nothing) -> Any:
    return core.workers()


def _deliveries(core: Core, request: Deliveries) -> AsyncIterator[dict[str, Any]]:
    return core.deliveries(request.name, state=request.state, where=request.where())


def _replay(core: Core, request: Replay) -> AsyncIterator[dict[str, Any]]:
    return core.replay(
        request.name,
        state=request.state,
        where=request.where(),
        limit=request.limit,
        dry_run=request.dry_run,
    )


async def _health(core: Core, request: Health) -> Any:
    return await core.health(request.name)


def _logs(core: Core, request: Logs) -> AsyncIterator[dict[str, Any]]:
    return core.logs(**dict(request))


OPERATIONS: Final[dict[str, Operation]] = {
    **CONTROL_OPERATIONS,
    "test": Operation(Test, _test),
    "list": Operation(Nothing, _list),
    "show": Operation(Named, _show),
    "remove": Operation(Remove, _remove),
    "pause": Operation(Named, _pause),
    "resume": Operation(Named, _resume),
    "stats": Operation(Nothing, _stats),
    "workers": Operation(Nothing, _workers),
    "deliveries": Operation(Deliveries, _deliveries, is_stream=True),
    "replay": Operation(Replay, _replay, is_stream=True),
    "health": Operation(Health, _health),
    "logs": Operation(Logs, _logs, is_stream=True),
}


def parse(name: str, arguments: dict[str, Any]) -> tuple[Operation, Request]:
    """The operation and its checked request. Raises `UsageError` naming every wrong argument."""
    operation = OPERATIONS.get(name)
    if operation is None:
        raise UsageError(f"there is no operation {name[:80]!r}", remedy=f"there are {', '.join(OPERATIONS)}")
    try:
        return operation, operation.request.model_validate(arguments)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()[:10]
        )
        raise UsageError(f"{name}: {problems}", remedy="call it again with these arguments mended") from None

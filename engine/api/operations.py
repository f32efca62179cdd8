"""The table of operations: name → request model and what is called. Streams are marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from engine.dispatch.shelf import delivery_id
from engine.errors import UsageError
from engine.events import encode_events
from engine.journal.contract import Filter
from sandbox.wire import BATCH_EVENTS_MAX, CLIENT_DEPTH_MAX, SOURCE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.dispatch.core import Core


TIME_MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""


class Request(BaseModel):
    """Arguments of an operation: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


_NAME: Final = Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f/]+$")


def _within_bytes(source: str) -> str:
    size = len(source.encode())
    if size > SOURCE_BYTES_MAX:
        raise ValueError(f"the source is {size} bytes; {SOURCE_BYTES_MAX} are allowed")
    return source


def _within_depth(value: Any) -> Any:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(CLIENT_DEPTH_MAX):
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, dict | list)
        ]
        if not level:
            return value
    raise ValueError(f"it is nested more than {CLIENT_DEPTH_MAX} levels deep")


Source: TypeAlias = Annotated[str, AfterValidator(_within_bytes)]
Settings: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_within_depth)]
"""Depth is checked first: a validator that recurses would end in an error of ours."""


class Nothing(Request):
    """An operation without arguments."""


class Named(Request):
    """An operation on one destination."""

    name: str = _NAME


class Deploy(Named):
    """A function's source, for the destination of this name."""

    source: Source
    filename: str = Field(default="function.py", min_length=1, max_length=200)
    settings: Settings = {}
    limits: dict[str, int] = {}


class Test(Request):
    """A function's source and events to try it with."""

    source: Source
    filename: str = Field(default="function.py", min_length=1, max_length=200)
    events: list[dict[str, Any]] = Field(min_length=1, max_length=BATCH_EVENTS_MAX)
    settings: Settings = {}
    limits: dict[str, int] = {}
    batch: bool = False


class Remove(Named):
    """A destination to forget."""

    discard: bool = False


class Logs(Named):
    """A destination whose failures, or attempts, are wanted."""

    follow: bool = False


class Filtered(Named):
    """Deliveries of a destination. Times are milliseconds since the epoch; `id` is `CHUNK.INDEX`."""

    code: str | None = Field(default=None, min_length=1, max_length=40)
    since_ms: int | None = Field(default=None, ge=0, le=TIME_MS_MAX)
    until_ms: int | None = Field(default=None, ge=0, le=TIME_MS_MAX)
    id: str | None = Field(default=None, pattern=r"^[0-9]{1,18}\.[0-9]{1,4}$")

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


async def _deploy(core: Core, request: Deploy) -> Any:
    return await core.deploy(**dict(request))


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


def _logs(core: Core, request: Logs) -> AsyncIterator[dict[str, Any]]:
    return core.logs(request.name, follow=request.follow)


@dataclass(frozen=True, slots=True)
class Operation:
    """`call(core, request)` is awaited; of a stream it is iterated."""

    request: type[Request]
    call: Callable[[Any, Any], Any]
    is_stream: bool = False


OPERATIONS: Final[dict[str, Operation]] = {
    "deploy": Operation(Deploy, _deploy),
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
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:10]
        )
        raise UsageError(f"{name}: {problems}", remedy="call it again with these arguments mended") from None

"""The table of operations: name → what it is asked with. What is called stands in `operations`, which only the daemon has.

Streams are marked. Pure, so that a gateway describes and checks by it what the daemon then does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from engine.api import requests as ask
from engine.errors import UsageError

if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the daemon can be asked to do."""

    request: type[ask.Request]
    is_stream: bool = False


OPERATIONS: Final[dict[str, Operation]] = {
    "deploy": Operation(ask.Deploy),
    "source.create": Operation(ask.SourceCreate),
    "source.list": Operation(ask.Nothing),
    "source.show": Operation(ask.Named),
    "source.update": Operation(ask.SourceUpdate),
    "source.samples": Operation(ask.SourceSamples),
    "source.keys": Operation(ask.Nothing, is_stream=True),
    "source.remove": Operation(ask.Named),
    "function.save": Operation(ask.FunctionSave),
    "function.deploy": Operation(ask.FunctionDeploy),
    "function.check": Operation(ask.Nothing),
    "function.list": Operation(ask.Nothing),
    "function.show": Operation(ask.FunctionShow),
    "function.update": Operation(ask.FunctionUpdate),
    "function.remove": Operation(ask.Named),
    "destination.create": Operation(ask.DestinationCreate),
    "destination.list": Operation(ask.Nothing),
    "destination.show": Operation(ask.Named),
    "destination.update": Operation(ask.DestinationUpdate),
    "setting.list": Operation(ask.Named),
    "setting.update": Operation(ask.SettingUpdate),
    "token.create": Operation(ask.TokenCreate),
    "token.list": Operation(ask.Nothing),
    "token.remove": Operation(ask.Named),
    "key.list": Operation(ask.Nothing),
    "key.rotate": Operation(ask.Nothing),
    "usage": Operation(ask.Span),
    "audit": Operation(ask.Span, is_stream=True),
    "test": Operation(ask.Test),
    "list": Operation(ask.Nothing),
    "show": Operation(ask.Named),
    "remove": Operation(ask.Remove),
    "pause": Operation(ask.Named),
    "resume": Operation(ask.Named),
    "stats": Operation(ask.Nothing),
    "metrics": Operation(ask.Nothing),
    "ready": Operation(ask.Nothing),
    "http.count": Operation(ask.HttpCount),
    "workers": Operation(ask.Nothing),
    "deliveries": Operation(ask.Deliveries, is_stream=True),
    "replay": Operation(ask.Replay, is_stream=True),
    "health": Operation(ask.Health),
    "logs": Operation(ask.Logs, is_stream=True),
}


def parse(name: str, arguments: dict[str, Any]) -> tuple[Operation, ask.Request]:
    """The operation and its checked request. Raises `UsageError` naming every wrong argument."""
    operation = OPERATIONS.get(name)
    if operation is None:
        raise UsageError(f"there is no operation {name[:80]!r}", remedy=f"there are {', '.join(OPERATIONS)}")
    try:
        return operation, operation.request.model_validate(arguments)
    except ValidationError as error:
        raise UsageError(
            f"{name}: {problems_of(error)}", remedy="call it again with these arguments mended"
        ) from None


def problems_of(error: ValidationError) -> str:
    """What is wrong with the first arguments, each with its place."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors()[:10]
    )

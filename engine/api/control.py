"""What the operations of the control plane call: `source.create`, `function.deploy` … → `call(core, request)`.

The parts of `core.control` take a request's fields as keywords.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.api import requests as ask
    from engine.dispatch.core import Core

Call: TypeAlias = Callable[[Any, Any], Any]
"""`call(core, request)` is awaited; of a stream it is iterated."""


async def _samples(core: Core, request: ask.SourceSamples) -> Any:
    return core.samples(**request.arguments())


def _passed_to(path: str) -> Call:
    """Call the method at `path` of `core.control` with the request's fields."""
    find = attrgetter(path)

    async def call(core: Core, request: ask.Request) -> Any:
        answer = find(core.control)(**request.arguments())
        return await answer if inspect.isawaitable(answer) else answer

    return call


def _keys(core: Core, _request: ask.Nothing) -> AsyncIterator[dict[str, Any]]:
    return core.control.sources.keys()


async def _audit(core: Core, request: ask.Span) -> AsyncIterator[dict[str, Any]]:
    for entry in core.control.audit(**request.arguments()):
        yield entry


CONTROL_CALLS: Final[dict[str, Call]] = {
    "deploy": _passed_to("destinations.deploy"),
    "source.create": _passed_to("sources.create"),
    "source.list": _passed_to("sources.list"),
    "source.show": _passed_to("sources.show"),
    "source.update": _passed_to("sources.update"),
    "source.samples": _samples,
    "source.keys": _keys,
    "source.remove": _passed_to("sources.remove"),
    "function.save": _passed_to("functions.save"),
    "function.deploy": _passed_to("functions.deploy"),
    "function.check": _passed_to("functions.check"),
    "function.list": _passed_to("functions.list"),
    "function.show": _passed_to("functions.show"),
    "function.update": _passed_to("functions.update"),
    "function.remove": _passed_to("functions.remove"),
    "destination.create": _passed_to("destinations.create"),
    "destination.list": _passed_to("destinations.list"),
    "destination.show": _passed_to("destinations.show"),
    "destination.update": _passed_to("destinations.update"),
    "setting.list": _passed_to("destinations.settings"),
    "setting.update": _passed_to("destinations.update"),
    "token.create": _passed_to("tokens.create"),
    "token.list": _passed_to("tokens.list"),
    "token.remove": _passed_to("tokens.remove"),
    "key.list": _passed_to("show_keys"),
    "key.rotate": _passed_to("rotate_key"),
    "usage": _passed_to("usage"),
    "audit": _audit,
}

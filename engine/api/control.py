"""The operations of the control plane: `source.create`, `function.deploy` … → request model and what is called.

`call(core, request)`: the parts of `core.control` take a request's fields as keywords.
"""

from __future__ import annotations

import inspect
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

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
from engine.filters.parsing import SOURCE_CHARS_MAX as FILTER_CHARS_MAX
from sandbox.wire import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.dispatch.core import Core

_Names = Annotated[list[Name], Field(max_length=1_000)]
_Filter = Annotated[str, Field(max_length=FILTER_CHARS_MAX)]
_Text = Annotated[str, Field(max_length=2_000)]
_SAMPLES: Final = Field(default=10, ge=0, le=100)


class About(Request):
    """What people see of a function."""

    display_name: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    description: _Text | None = None
    logo_url: _Text | None = None

    def arguments(self) -> dict[str, Any]:
        """Those of what people see that are given, as `about`."""
        fields = super().arguments()
        about = {name: fields.pop(name) for name in About.model_fields}
        return {**fields, "about": {name: text for name, text in about.items() if text is not None}}


class SourceCreate(Named):
    """A source to make."""

    samples_kept: int = _SAMPLES


class SourceUpdate(Named):
    """What changes of a source."""

    samples_kept: Annotated[int, Field(ge=0, le=100)] | None = None
    add_key: bool = False
    remove_key: str | None = None


class FunctionSave(About, Named):
    """A function's source, kept as a version; with `deploy` destinations move to it."""

    source: Source
    filename: Filename = "function.py"
    schema_: list[Any] | None = Field(default=None, alias="schema")
    deploy: bool = False
    destinations: _Names | None = None


class FunctionUpdate(About, Named):
    """What changes of a function, its code left alone."""


class FunctionShow(Named):
    """A function, and which version's code."""

    version: int | None = None


class FunctionDeploy(Named):
    """A version for destinations."""

    version: int | None = None
    destinations: _Names | None = None


class Deploy(About, Named):
    """A function's source, and the destination of the same name."""

    source: Source
    filename: Filename = "function.py"
    settings: Settings = Field(default={})
    limits: dict[str, int] = Field(default={})
    schema_: list[Any] | None = Field(default=None, alias="schema")
    filter: _Filter | None = None
    sources: _Names | None = None
    dry_run: bool = False


class DestinationCreate(Named):
    """A destination of a saved function."""

    function: Name
    version: int | None = None
    settings: Settings = Field(default={})
    limits: dict[str, int] = Field(default={})
    filter: _Filter = ""
    sources: _Names = Field(default=[])
    enabled: bool = True


class DestinationUpdate(Named):
    """What changes of a destination."""

    version: int | None = None
    follow: bool = False
    settings: Settings = Field(default={})
    limits: dict[str, int] = Field(default={})
    filter: _Filter | None = None
    sources: _Names | None = None
    enabled: bool | None = None


class SettingUpdate(Named):
    """Values to set; null takes one away."""

    settings: Settings


class Span(Request):
    """A time."""

    since_ms: Annotated[int, Field(ge=0, le=TIME_MS_MAX)] = 0
    until_ms: Annotated[int, Field(ge=0, le=TIME_MS_MAX)] | None = None


class SourceSamples(Named):
    """A source, and of which type its events are wanted."""

    type: Annotated[str, Field(pattern=f"^({'|'.join(EVENT_TYPES)})$")] | None = None


async def _samples(core: Core, request: SourceSamples) -> Any:
    return core.samples(**request.arguments())


def _passed_to(path: str) -> Callable[[Core, Request], Any]:
    """Call the method at `path` of `core.control` with the request's fields."""
    find = attrgetter(path)

    async def call(core: Core, request: Request) -> Any:
        answer = find(core.control)(**request.arguments())
        return await answer if inspect.isawaitable(answer) else answer

    return call


async def _audit(core: Core, request: Span) -> AsyncIterator[dict[str, Any]]:
    for entry in core.control.audit(**request.arguments()):
        yield entry


CONTROL_OPERATIONS: Final[dict[str, Operation]] = {
    "deploy": Operation(Deploy, _passed_to("destinations.deploy")),
    "source.create": Operation(SourceCreate, _passed_to("sources.create")),
    "source.list": Operation(Nothing, _passed_to("sources.list")),
    "source.show": Operation(Named, _passed_to("sources.show")),
    "source.update": Operation(SourceUpdate, _passed_to("sources.update")),
    "source.samples": Operation(SourceSamples, _samples),
    "source.remove": Operation(Named, _passed_to("sources.remove")),
    "function.save": Operation(FunctionSave, _passed_to("functions.save")),
    "function.deploy": Operation(FunctionDeploy, _passed_to("functions.deploy")),
    "function.check": Operation(Nothing, _passed_to("functions.check")),
    "function.list": Operation(Nothing, _passed_to("functions.list")),
    "function.show": Operation(FunctionShow, _passed_to("functions.show")),
    "function.update": Operation(FunctionUpdate, _passed_to("functions.update")),
    "function.remove": Operation(Named, _passed_to("functions.remove")),
    "destination.create": Operation(DestinationCreate, _passed_to("destinations.create")),
    "destination.list": Operation(Nothing, _passed_to("destinations.list")),
    "destination.show": Operation(Named, _passed_to("destinations.show")),
    "destination.update": Operation(DestinationUpdate, _passed_to("destinations.update")),
    "setting.list": Operation(Named, _passed_to("destinations.settings")),
    "setting.update": Operation(SettingUpdate, _passed_to("destinations.update")),
    "key.list": Operation(Nothing, _passed_to("show_keys")),
    "key.rotate": Operation(Nothing, _passed_to("rotate_key")),
    "usage": Operation(Span, _passed_to("usage")),
    "audit": Operation(Span, _audit, is_stream=True),
}

"""What may be asked: the request model of each operation. Pure: clients and gateways may read it, too."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from engine.filters.parsing import SOURCE_CHARS_MAX as FILTER_CHARS_MAX
from engine.metrics import REQUEST_BOUNDS_S
from engine.paths import LIMIT_OPTIONS
from sandbox.wire import (
    BATCH_EVENTS_MAX,
    CLIENT_DEPTH_MAX,
    EVENT_TYPES,
    OUTCOME_CODES,
    SOURCE_BYTES_MAX,
)


class Request(BaseModel):
    """Arguments of an operation: nothing unknown, nothing converted."""

    # Each validator is built when the operation is first asked for: all of them are a tenth of a start.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    def arguments(self) -> dict[str, Any]:
        """The fields as keywords of what is called."""
        return {name.rstrip("_"): getattr(self, name) for name in type(self).model_fields}


TIME_MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""


def _nameable(name: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f\x7f/]{1,120}", name):
        raise ValueError(
            f"a name has 1 to 120 characters, and no '/' or control character; not {name[:130]!r}"
        )
    return name


Name: TypeAlias = Annotated[
    str,
    AfterValidator(_nameable),
    WithJsonSchema({"type": "string", "pattern": r"^[^\x00-\x1f\x7f/]{1,120}$"}),
]


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
Filename: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


LimitValues: TypeAlias = Annotated[
    dict[str, int],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"enum": [name for name, _ in LIMIT_OPTIONS]},
            "additionalProperties": {"type": "integer"},
        }
    ),
]
Event: TypeAlias = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string", "enum": list(EVENT_TYPES)}},
        }
    ),
]


class Nothing(Request):
    """An operation without arguments."""


class Named(Request):
    """An operation on one thing."""

    name: Name


# --- Events and what became of them

LOGS_MAX: Final = 10_000
"""Attempts of one call of `logs`."""


_ID: Final = r"[0-9]{1,18}\.[0-9]{1,4}"


def _identified(name: str) -> str:
    if not re.fullmatch(_ID, name):
        raise ValueError(f"a delivery is named CHUNK.INDEX, as in 17.3; not {name[:40]!r}")
    return name


Id: TypeAlias = Annotated[
    str, AfterValidator(_identified), WithJsonSchema({"type": "string", "pattern": f"^{_ID}$"})
]


def _known(code: str) -> str:
    if code not in OUTCOME_CODES:
        raise ValueError(f"{code[:40]!r} is no outcome; there are {', '.join(OUTCOME_CODES)}")
    return code


Code: TypeAlias = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(OUTCOME_CODES)})
]


class Test(Request):
    """A function's source and events to try it with."""

    source: Source
    filename: Filename = "function.py"
    events: list[Event] = Field(min_length=1, max_length=BATCH_EVENTS_MAX)
    settings: Settings = Field(default={})
    limits: LimitValues = Field(default={})
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


class Deliveries(Filtered):
    """Stored deliveries to look at."""

    state: Literal["shelved", "dead", "discarded", "waiting", "running"] = "shelved"


class Replay(Filtered):
    """Deliveries of the shelf to run again."""

    state: Literal["shelved", "dead", "discarded"] = "shelved"
    limit: int | None = Field(default=None, ge=1, le=10**12)
    dry_run: bool = False


HttpRequests: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""Bounded, so that no sum of them outgrows what the socket carries."""


class HttpSeconds(Request):
    """How long requests took: a count for each of `metrics.REQUEST_BOUNDS_S`, and one for what lies beyond."""

    counts: list[HttpRequests] = Field(
        min_length=len(REQUEST_BOUNDS_S) + 1, max_length=len(REQUEST_BOUNDS_S) + 1
    )
    sum: float = Field(ge=0, le=1e12)


Endpoint: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9/{}._-]{1,60}$")]
HttpStatus: TypeAlias = Annotated[str, Field(pattern=r"^[1-5][0-9][0-9]$")]


class HttpCount(Request):
    """What a gateway answered since it told the last time: endpoint → status → requests, endpoint → time."""

    requests: dict[Endpoint, dict[HttpStatus, HttpRequests]] = Field(max_length=200)
    seconds: dict[Endpoint, HttpSeconds] = Field(max_length=200)


# --- The control plane

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
    is_new: bool = False


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
    limits: LimitValues = Field(default={})
    schema_: list[Any] | None = Field(default=None, alias="schema")
    filter: _Filter | None = None
    sources: _Names | None = None
    dry_run: bool = False


class DestinationCreate(Named):
    """A destination of a saved function."""

    function: Name
    version: int | None = None
    settings: Settings = Field(default={})
    limits: LimitValues = Field(default={})
    filter: _Filter = ""
    sources: _Names = Field(default=[])
    enabled: bool = True


class DestinationUpdate(Named):
    """What changes of a destination."""

    version: int | None = None
    follow: bool = False
    settings: Settings = Field(default={})
    limits: LimitValues = Field(default={})
    filter: _Filter | None = None
    sources: _Names | None = None
    enabled: bool | None = None


class SettingUpdate(Named):
    """Values to set; null takes one away."""

    settings: Settings


class TokenCreate(Named):
    """A token to make: what it may (`ROLE` or `ROLE=FUNCTION`), and until when."""

    roles: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=200)]
    expires_ms: Annotated[int, Field(ge=0, le=TIME_MS_MAX)] | None = None


class Span(Request):
    """A time."""

    since_ms: Annotated[int, Field(ge=0, le=TIME_MS_MAX)] = 0
    until_ms: Annotated[int, Field(ge=0, le=TIME_MS_MAX)] | None = None


class SourceSamples(Named):
    """A source, and of which type its events are wanted."""

    type: Annotated[str, Field(pattern=f"^({'|'.join(EVENT_TYPES)})$")] | None = None

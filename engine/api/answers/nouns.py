"""Answers about what people make: functions, destinations, sources, keys, tokens."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from engine.api.answers.shared import Answer, Counts, Told


class Named(Answer):
    """What was acted upon."""

    name: str


class Handler(Answer):
    """One handler of a function."""

    name: str
    type: str
    is_async: bool = Field(alias="async")
    line: int


class Setting(Answer):
    """One setting that a function declares."""

    name: str
    label: str
    type: str
    description: str
    required: bool
    sensitive: bool


class Change(Answer):
    """What is, or would be, otherwise. Never a setting's value."""

    what: str
    before: Any = None
    after: Any = None
    diff: list[str] = Field(default=[])


class Saved(Answer):
    """A version that was kept."""

    name: str
    version: int
    handlers: list[Handler]
    logs: list[Told]
    deployed_to: list[str]


class Moved(Answer):
    """Destinations that run another version now."""

    name: str
    version: int
    deployed_to: list[str]


class Deployed(Answer):
    """A function and the destination of the same name."""

    name: str
    version: int
    created: bool
    handlers: list[Handler]
    logs: list[Told]
    changes: list[Change]


class CheckedVersion(Answer):
    """Whether a version still compiles and loads; `error` is a text, or what its code raised."""

    name: str
    version: int
    ok: bool
    error: str | Told | None
    diagnostics: list[Told] = Field(default=[])
    logs: list[Told] = Field(default=[])


class FunctionRow(Answer):
    """A function in a list. `author` made its first version."""

    name: str
    display_name: str
    description: str
    logo_url: str
    latest: int
    deployed: int | None
    destinations: int
    author: str
    created: str


class VersionRow(Answer):
    """A version in a list; `deployed` is when it was for the last time."""

    version: int
    author: str
    created: str
    deployed: str | None


class FunctionShown(Answer):
    """A function, and code and settings of one version."""

    name: str
    display_name: str
    description: str
    logo_url: str
    deployed: int | None
    destinations: dict[str, int]
    versions: list[VersionRow]
    version: int
    settings: list[Setting] | None
    libraries: list[str]
    handlers: list[Handler]
    filename: str
    code: str


class Tried(Answer):
    """One event tried with code that isn't deployed."""

    ok: bool
    result: str | None
    error: Told | None
    logs: list[Told]
    requests: list[Told]
    duration_ms: float


class DestinationRow(Answer):
    """A destination as it is set up."""

    name: str
    function: str
    version: int
    pinned: bool
    enabled: bool
    sources: list[str]
    filtered: bool


class SettingRow(Answer):
    """A setting of a destination; of a sensitive one no value."""

    name: str
    label: str = ""
    type: str
    required: bool
    sensitive: bool
    is_set: bool
    value: Any


class DestinationShown(DestinationRow):
    """A destination with filter, limits and settings."""

    filter: str
    limits: Counts
    settings: list[SettingRow]
    created: str
    changed: str


class DestinationMade(Answer):
    """A new destination."""

    name: str
    version: int


class DestinationChanged(DestinationMade):
    """What is otherwise now."""

    changes: list[Change]


class SourceRow(Answer):
    """A source in a list; write keys by their number."""

    name: str
    destinations: list[str]
    write_keys: int
    created: str


class SourceShown(Answer):
    """A source with its write keys."""

    name: str
    write_keys: list[str]
    destinations: list[str]
    samples_kept: int
    created: str


class Keys(Answer):
    """Ids of keys, never keys."""

    current: str
    keys: list[str]
    kept_in: str = Field(alias="from")
    sealed: int


class Rotated(Answer):
    """A new key."""

    current: str
    replaces: str
    resealed: int


class TokenRow(Answer):
    """A token, without what it is."""

    name: str
    roles: list[str]
    created: str
    expires: str | None
    used: str | None


class TokenMade(TokenRow):
    """A new token: it is never shown again."""

    token: str


class Used(Answer):
    """What was used in a day."""

    day: str
    function: str
    destination: str
    invocations: int
    events: int
    busy_us: int
    fetches: int
    sent_bytes: int
    received_bytes: int


class AuditEntry(Answer):
    """Who did what."""

    id: int
    at: str
    who: str
    origin: str
    action: str
    subject: str
    detail: dict[str, Any]

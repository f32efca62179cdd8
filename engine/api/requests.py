"""What operations have in common: request models and the shape of an operation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from sandbox.wire import CLIENT_DEPTH_MAX, SOURCE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable


class Request(BaseModel):
    """Arguments of an operation: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)

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


Name: TypeAlias = Annotated[str, AfterValidator(_nameable)]


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


class Nothing(Request):
    """An operation without arguments."""


class Named(Request):
    """An operation on one thing."""

    name: Name


@dataclass(frozen=True, slots=True)
class Operation:
    """`call(core, request)` is awaited; of a stream it is iterated."""

    request: type[Request]
    call: Callable[[Any, Any], Any]
    is_stream: bool = False

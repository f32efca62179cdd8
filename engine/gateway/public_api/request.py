"""What every endpoint is given, and what several need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.gateway.public_api import shapes
from engine.gateway.public_api.refusals import Invalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read."""

    ids: tuple[str, ...]
    """Those in the path."""
    query: dict[str, str]
    body: Any
    call: Callable[..., Awaitable[Any]]
    """`await call(operation, **arguments)`, on behalf of whoever asks."""
    at: str
    """When it came, ISO 8601."""
    id: str
    """Its own: no two have the same."""


def only_destinations(resource_type: str) -> None:
    """Raise `Invalid` for a type of function that there is none of here."""
    if resource_type != shapes.DESTINATION:
        raise Invalid(f"there are destination functions here, none of {resource_type}", field="resourceType")


def given(**arguments: Any) -> dict[str, Any]:
    """Those that aren't None."""
    return {name: value for name, value in arguments.items() if value is not None}

"""Events sent by somebody who may, and not by a write key: for trying things out, by the control API."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError

from engine.api.requests import Event, Named
from engine.api.table import problems_of
from engine.errors import UsageError
from sandbox.wire import SUBMIT_EVENTS_MAX


class Submit(Named):
    """Events for a destination, or from a source."""

    events: Annotated[list[Event], Field(min_length=1, max_length=SUBMIT_EVENTS_MAX)]
    dedupe: bool = True


def parse_submit(arguments: dict[str, Any]) -> tuple[str, list[dict[str, Any]], bool]:
    """Name, events, and whether duplicates are left out. Raises `UsageError` naming every wrong argument."""
    try:
        asked = Submit.model_validate(arguments)
    except ValidationError as error:
        raise UsageError(
            f"submit: {problems_of(error)}", remedy="call it again with these arguments mended"
        ) from None
    return asked.name, asked.events, asked.dedupe

"""How nouns are shown: as maps that the API carries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

Rows: TypeAlias = "list[dict[str, Any]]"

if TYPE_CHECKING:
    from sandbox.wire import Handler


def handler_map(handler: Handler) -> dict[str, Any]:
    """One handler of a function."""
    return {"name": handler.name, "type": handler.event_type, "async": handler.is_async, "line": handler.line}


def iso(ms: int) -> str:
    """A time, ISO 8601 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")

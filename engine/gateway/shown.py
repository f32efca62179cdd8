"""Answers of the daemon as JSON. Pure.

What the socket carries as bytes are events, packed; here they are unpacked. Numbers that JSON hasn't are null.
"""

from __future__ import annotations

import json
import math
from typing import Any

from engine.session import with_event
from sandbox import wire


def shown(operation: str, value: Any) -> Any:
    """An answer, or an item of a stream, with the events that it holds."""
    if operation == "deliveries":
        return with_event(value)
    if operation == "source.samples":
        return [_event(packed) for packed in value]
    return value


def _event(packed: bytes) -> dict[str, Any] | None:
    try:
        event = wire.unpack_limited(packed, items_max=wire.EVENT_BYTES_MAX, map_max=wire.EVENT_BYTES_MAX)
    except wire.WireError:
        return None
    return event if isinstance(event, dict) else None


def as_json(value: Any) -> bytes:
    """One line, without its end."""
    try:
        return json.dumps(value, allow_nan=False, default=_text).encode()
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, default=_text).encode()


def _text(value: Any) -> str:
    """What an event held that JSON can't: bytes, by whoever packed it himself."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value

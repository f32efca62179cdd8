"""Recorded events as calls of Segment's Python library: what an application does, on another host."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from segment.analytics.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELDS: Final = {
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "messageId": "message_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    "event": "event",
    "name": "name",
    "category": "category",
    "properties": "properties",
    "traits": "traits",
    "context": "context",
    "integrations": "integrations",
}
"""An event's field → an argument of the library's method of its type."""


def send(host: str, key: str, events: Iterable[dict[str, Any]]) -> None:
    """All of them; returns when they are acknowledged. Raises `RuntimeError` if the library gave one up."""
    given_up: list[Exception] = []
    library = Client(
        key, host=host, gzip=True, upload_interval=0.05, on_error=lambda error, _: given_up.append(error)
    )
    for event in events:
        arguments = {FIELDS[name]: value for name, value in event.items() if name in FIELDS}
        if event["type"] == "alias":
            arguments.pop("anonymous_id", None)  # an alias has none
        when = dt.datetime.fromisoformat(event["timestamp"])
        getattr(library, event["type"])(**arguments, timestamp=when)
    library.flush()
    library.join()
    if given_up:
        raise RuntimeError(f"events were given up: {given_up[0]}")

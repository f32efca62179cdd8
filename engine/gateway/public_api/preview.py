"""Code tried on an event, or on a batch, before it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.gateway.arguments import parse_json
from engine.gateway.public_api import asked, shapes
from engine.gateway.public_api.refusals import Invalid
from engine.gateway.public_api.request import only_destinations

if TYPE_CHECKING:
    from engine.gateway.public_api.request import Request


async def preview(request: Request) -> dict[str, Any]:
    """POST /functions/preview, of the older Config API: its answer has no envelope."""
    wanted = asked.read(asked.Preview, request.body)
    only_destinations(wanted.type)
    payload = wanted.payload
    if isinstance(payload, str):
        try:
            payload = parse_json(payload.encode("utf-8", "replace"))
        except UsageError as error:
            raise Invalid(f"payload: {error.message}", field="payload") from None
    is_batch = isinstance(payload, list)
    events = payload if isinstance(payload, list) else [payload]
    settings = {
        str(item["name"]): item["value"]
        for item in wanted.function.settings
        if "name" in item and "value" in item
    }
    results = await request.call(
        "test", source=wanted.function.code, events=events, settings=settings, batch=is_batch
    )
    return shapes.preview(results, is_batch=is_batch, at=request.at, session_id=request.id)

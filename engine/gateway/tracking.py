"""`/v1/…`: events from client libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.gateway.asgi import answer_json

if TYPE_CHECKING:
    from engine.gateway.asgi import Receive, Scope, Send
    from engine.gateway.link import Link
    from engine.gateway.write_keys import WriteKeys


class Tracking:
    """The tracking API."""

    def __init__(self, link: Link, keys: WriteKeys) -> None:
        self._link = link
        self._keys = keys

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """One request."""
        await answer_json(send, 404, {"code": "not_found", "message": "nothing is at this path"})

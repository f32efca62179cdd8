"""`/livez`: this process answers. `/readyz`: so does the daemon, and events can be taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.gateway.asgi import answer_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.gateway.asgi import Receive, Scope, Send


class Health:
    """Answers with status 200, or 503 if it isn't so."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One request."""
        if scope["path"] == "/livez":
            await answer_json(send, 200, {"status": "ok"})
        elif scope["path"] == "/readyz":
            is_ready = self._is_ready()
            await answer_json(send, 200 if is_ready else 503, {"status": "ok" if is_ready else "no daemon"})
        else:
            await answer_json(send, 404, {"code": "not_found", "message": "nothing is at this path"})

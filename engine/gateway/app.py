"""The one ASGI application: which module answers which path.

/v1/…                                      tracking      events, from client libraries
/livez /readyz                             health
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import structlog

from engine.gateway.asgi import Disconnected, answer_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.gateway.asgi import App, Receive, Scope, Send

log = structlog.get_logger()


class Gateway:
    """Hands a request to the application of its path's first part."""

    def __init__(self, apps: Mapping[str, App]) -> None:
        """`apps`: the first part of a path, as in `v1` → who answers."""
        self._apps = dict(apps)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Whatever goes wrong in an application is one answer with status 500, and a line of the log."""
        app = self._apps.get(scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else "")
        if app is None:
            await answer_json(send, 404, {"code": "not_found", "message": "nothing is at this path"})
            return
        is_answered = False

        async def watched(message: dict[str, object]) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await app(scope, receive, watched)  # type: ignore[arg-type]
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001  one request must not be more than one answer
            # Neither its text nor its locals: they may hold what the client sent.
            log.error("request_failed", error=type(error).__name__, where=_place(error))  # noqa: TRY400
            if not is_answered:
                await answer_json(
                    send, 500, {"code": "internal_error", "message": "the gateway failed at this"}
                )


def _place(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return ""
    return f"{PurePath(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"

"""The one ASGI application: which module answers which path.

/v1/…                                      tracking      events, from client libraries
/api/v1/…                                  control       everything that the command line can do
/functions… /insert-function-instances…    public_api    the same in the vendor's shapes
/livez /readyz                             health
/metrics                                   metrics
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import structlog

from engine.gateway.asgi import Disconnected, answer_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.clock import Clock
    from engine.gateway.asgi import App, Message, Receive, Scope, Send
    from engine.gateway.measuring import Requests

log = structlog.get_logger()


class Gateway:
    """Hands a request to the application of its path's first part."""

    def __init__(self, apps: Mapping[str, App], requests: Requests, clock: Clock) -> None:
        """`apps`: the first part of a path, as in `v1` → who answers; `requests` counts what was answered."""
        self._apps = dict(apps)
        self._requests = requests
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Whatever goes wrong in an application is one answer with status 500, and a line of the log."""
        app = self._apps.get(scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else "")
        begun, status = self._clock.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            status = status or message["status"]
            await send(message)

        try:
            if app is None:
                await answer_json(watched, 404, {"code": "not_found", "message": "nothing is at this path"})
            else:
                await app(scope, receive, watched)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001  one request must not be more than one answer
            # Neither its text nor its locals: they may hold what the client sent.
            log.error("request_failed", error=type(error).__name__, where=_place(error))  # noqa: TRY400
            if not status:
                failure = {"code": "internal_error", "message": "the gateway failed at this"}
                await answer_json(watched, 500, failure)
        finally:
            if status:
                self._requests.add(scope["path"], status, self._clock.monotonic() - begun)


def _place(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return ""
    return f"{PurePath(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"

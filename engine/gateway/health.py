"""`/livez`: this process answers. `/readyz`: so does the daemon, and every check of it passes; with `?verbose` each is named.

Nobody has to say who he is: whoever balances load asks often, and knows no token.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from engine.errors import EngineError
from engine.gateway.asgi import answer_json
from engine.gateway.refusals import WrongMethod, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.gateway.asgi import Receive, Scope, Send
    from engine.gateway.link import Link

ANSWER_S_MAX: Final = 3.0
"""A daemon that takes longer isn't ready."""


class Health:
    """Answers with status 200, or 503 if it isn't so."""

    def __init__(
        self, link: Link, *, knows_keys: Callable[[], bool], is_stopping: Callable[[], bool]
    ) -> None:
        """`knows_keys`: the daemon has told of all write keys, so that events are taken."""
        self._link = link
        self._knows_keys = knows_keys
        self._is_stopping = is_stopping
        self._asking: asyncio.Task[list[dict[str, Any]]] | None = None

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One request."""
        if scope["method"] not in {"GET", "HEAD"}:
            error = WrongMethod(
                f"{scope['method']} isn't answered here", remedy="use GET", data={"allowed": ["GET", "HEAD"]}
            )
            await refuse(send, error)
        elif scope["path"] == "/livez":
            await answer_json(send, 200, {"status": "alive"})
        else:
            checks = await self._checks()
            is_ready = all(check["ok"] for check in checks)
            told: dict[str, Any] = {"status": "ready" if is_ready else "not ready"}
            if "verbose" in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True):
                told["checks"] = checks
            await answer_json(send, 200 if is_ready else 503, told, [(b"cache-control", b"no-store")])

    async def _checks(self) -> list[dict[str, Any]]:
        """The daemon is asked once at a time, however many ask here: they needn't say who they are."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> list[dict[str, Any]]:
        is_stopping, knows_keys = self._is_stopping(), self._knows_keys()
        own = [
            _check("gateway", not is_stopping, "it is stopping" if is_stopping else "it takes requests"),
            _check(
                "write_keys", knows_keys, "they are known" if knows_keys else "the daemon hasn't told them"
            ),
        ]
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                ready = await self._link.calls.call("ready")
        except TimeoutError:
            return [*own, _check("daemon", False, f"it didn't answer within {ANSWER_S_MAX:g} s")]
        except EngineError as error:
            return [*own, _check("daemon", False, error.message)]
        return [*own, _check("daemon", True, "it answers"), *ready["checks"]]


def _check(name: str, is_ok: bool, detail: str) -> dict[str, Any]:
    return {"name": name, "ok": is_ok, "detail": detail}

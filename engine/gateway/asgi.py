"""What the raw ASGI applications here share: types, answers in one piece, bodies that are bounded while they arrive."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
DRAINED_BYTES_MAX: Final = 8 << 20
"""So much of a body that is too long is read all the same: most clients see an answer only when they have sent all."""


ARRIVING_BYTES_MAX: Final = 64 << 20


class BodyTooLarge(Exception):
    """More bytes than are allowed; up to `DRAINED_BYTES_MAX` of them have been read."""


class NoRoom(Exception):
    """Other requests' bodies take all the memory there is for them."""


class Disconnected(Exception):
    """The client is gone: nobody waits for an answer."""


@dataclass(slots=True)
class Budget:
    """Bytes of bodies that are arriving, of all requests together."""

    left: int = ARRIVING_BYTES_MAX


async def answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """One answer in one piece; its length is added to the headers."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, status: int, value: Any, headers: Headers | None = None) -> None:
    """One answer as JSON."""
    await answer(send, status, json.dumps(value).encode(), [JSON, *(headers or ())])


async def read_body(receive: Receive, bytes_max: int, budget: Budget) -> bytes:
    """The whole body. Raises `BodyTooLarge`, `NoRoom`, or `Disconnected` if the client hangs up in the middle."""
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        return await _read_on(receive, body, bytes_max, budget)
    if len(body) > bytes_max:
        raise BodyTooLarge
    return body


async def _read_on(receive: Receive, part: bytes, bytes_max: int, budget: Budget) -> bytes:
    parts: list[bytes] = []
    size = held = 0
    is_more = True
    try:
        while True:
            size += len(part)
            if size <= bytes_max:
                if len(part) > budget.left:
                    raise NoRoom
                budget.left -= len(part)
                held += len(part)
                parts.append(part)
            elif size > DRAINED_BYTES_MAX:
                raise BodyTooLarge
            if not is_more:
                break
            message = await receive()
            if message["type"] != "http.request":
                raise Disconnected
            part, is_more = message.get("body", b""), bool(message.get("more_body"))
    finally:
        budget.left += held
    if size > bytes_max:
        raise BodyTooLarge
    return b"".join(parts)

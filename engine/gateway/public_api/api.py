"""`/functions…`, `/insert-function-instances…`: the vendor's shapes over the same operations as `/api/v1`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote

from engine.errors import EngineError, NotFound
from engine.gateway.arguments import parse_json
from engine.gateway.asgi import answer
from engine.gateway.control import bearer, body_of, client_of
from engine.gateway.public_api import functions, instances, versions
from engine.gateway.public_api.preview import preview
from engine.gateway.public_api.refusals import Invalid, public_map, public_status_of
from engine.gateway.public_api.request import Request
from engine.gateway.refusals import WrongMethod, headers_of
from engine.gateway.shown import as_json
from engine.session import OnBehalf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.gateway.asgi import Budget, Receive, Scope, Send
    from engine.gateway.link import Link

MEDIA_TYPES: Final = ("application/vnd.segment.v1+json", "application/vnd.segment.v1alpha+json")
QUERY_FIELDS_MAX: Final = 20
PREVIEW: Final = "/functions/preview"

Endpoint: TypeAlias = "Callable[[Request], Awaitable[dict[str, Any]]]"
ENDPOINTS: Final[dict[str, dict[str, Endpoint]]] = {
    "/functions": {"GET": functions.list_, "POST": functions.create},
    "/functions/{id}": {"GET": functions.get, "PATCH": functions.update, "DELETE": functions.delete},
    "/functions/{id}/deploy": {"POST": functions.deploy},
    "/functions/{id}/versions": {"GET": versions.list_versions, "POST": versions.restore_version},
    "/functions/{id}/versions/{id}": {"GET": versions.get_version},
    "/insert-function-instances": {"GET": instances.list_, "POST": instances.create},
    "/insert-function-instances/{id}": {
        "GET": instances.get,
        "PATCH": instances.update,
        "DELETE": instances.delete,
    },
}
"""Path → method → what answers it, under `data`."""


class PublicApi:
    """The Public API."""

    def __init__(self, link: Link, budget: Budget, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._link = link
        self._budget = budget
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        headers = dict(scope["headers"])
        media_type = (b"content-type", _media_type(headers.get(b"accept", b"").decode("latin-1")))
        try:
            value = await self._value(scope, headers, receive)
        except EngineError as error:
            status = public_status_of(error)
            await answer(send, status, as_json(public_map(error)), [media_type, *headers_of(error, status)])
            return
        await answer(send, 200, as_json(value), [media_type])

    async def _value(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Any:
        method, path = scope["method"], scope["raw_path"].decode("ascii", "replace")
        is_preview = path == PREVIEW and method == "POST"
        endpoint, ids = (preview, ()) if is_preview else _endpoint_of(method, path)
        body = await body_of(receive, self._budget)
        whose = OnBehalf(bearer(headers), client_of(scope))

        async def call(operation: str, **arguments: Any) -> Any:
            return await self._link.calls.call_for(whose, operation, arguments)

        request = Request(
            ids,
            _query_of(scope["query_string"]),
            parse_json(body) if body.strip() and method in {"POST", "PATCH"} else {},
            call,
            datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).isoformat(timespec="milliseconds"),
            self._new_id(),
        )
        value = await endpoint(request)
        return value if is_preview else {"data": value}


def template_of(raw_path: str) -> tuple[str, tuple[str, ...]] | None:
    """The key of `ENDPOINTS` that a path is of, and its ids; None if it is of none."""
    parts = raw_path.split("/")
    places = [place for place in (2, 4) if place < len(parts)]
    template = "/".join("{id}" if place in places else part for place, part in enumerate(parts))
    return (template, tuple(unquote(parts[place]) for place in places)) if template in ENDPOINTS else None


def _endpoint_of(method: str, path: str) -> tuple[Endpoint, tuple[str, ...]]:
    """Raises `NotFound` or `WrongMethod`."""
    found = template_of(path)
    if found is None:
        raise NotFound("nothing is at this path")
    template, ids = found
    by_method = ENDPOINTS[template]
    if method not in by_method:
        allowed = [*by_method, *(["POST"] if path == PREVIEW else [])]
        raise WrongMethod(
            f"{method} isn't answered here", remedy=f"use {', '.join(allowed)}", data={"allowed": allowed}
        )
    return by_method[method], ids


def _query_of(query: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX))
    except ValueError:
        raise Invalid("the query can't be read") from None


def _media_type(accept: str) -> bytes:
    """What was asked for; the vendor's own if nothing was."""
    for wanted in (part.partition(";")[0].strip() for part in accept.split(",")):
        if wanted in {*MEDIA_TYPES, "application/json"}:
            return wanted.encode()
    return MEDIA_TYPES[0].encode()

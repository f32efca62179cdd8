"""The endpoints: who may send what, and what is answered.

200 is answered when the events are durable, and not before. What a client should send again is 429 (the daemon's disk
doesn't keep up, or the source makes too many requests) or 503 (no daemon), both with `Retry-After`; one full destination
is neither: what it has no room for is kept for it on its shelf. Events that can't be taken are 400, and those
of the same batch that can are taken: clients don't send a refused batch again.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Final

from engine.errors import EngineError, JournalFull, NotFound, Unavailable, UsageError
from engine.gateway.asgi import JSON, BodyTooLarge, NoRoom, answer, read_body
from engine.gateway.tracking.bodies import BadBody, TooLarge, inflate, parse
from engine.gateway.tracking.messages import Arrival, Refused, batch, single, write_key_of
from engine.gateway.tracking.submitting import Pressed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.clock import Clock
    from engine.gateway.asgi import Budget, Headers, Receive, Scope, Send
    from engine.gateway.tracking.rates import Rates
    from engine.gateway.tracking.submitting import Submitter
    from engine.gateway.write_keys import WriteKeys
    from sandbox.wire import Events

SINGLE_BYTES_MAX: Final = 32 * 1024
BATCH_BYTES_MAX: Final = 500 * 1024
"""As JSON. Segment's libraries fill batches up to 475,000 bytes, and then add one more event."""
PACKED_MORE_BYTES_MAX: Final = 1_024
"""What gzip may add to what it can't compress."""
ENDPOINTS: Final[dict[str, str | None]] = {
    **{
        f"/v1/{path}": kind
        for kind, short in (
            ("identify", "i"),
            ("track", "t"),
            ("page", "p"),
            ("screen", "s"),
            ("group", "g"),
            ("alias", "a"),
            ("delete", ""),
        )
        for path in (kind, short)  # the short ones are what browsers' analytics.js calls
        if path
    },
    "/v1/batch": None,
    "/v1/b": None,
    "/v1/import": None,
}
"""Path → the type of its one event; None: a batch."""
SUCCESS: Final = b'{"success":true}'
RETRY_SOON_S: Final = 1
RETRY_FULL_S: Final = 10
"""A full journal is emptied by work or by people, and neither takes a second."""
CORS: Final = (b"access-control-allow-origin", b"*")
"""Write keys stand in web pages, and no cookie is looked at: any page may send."""
PREFLIGHT: Final[Headers] = [
    CORS,
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, content-type, content-encoding, x-retry-count"),
    (b"access-control-max-age", b"86400"),
]


class Refusal(Exception):
    """A request that isn't answered with success."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s: int | None = more.pop("retry_after_s", None)
        self.more = more

    def body(self) -> bytes:
        """As JSON. `code` and `message` are what client libraries show."""
        about = {"success": False, "code": self.code, "message": self.message, **self.more}
        return json.dumps(about).encode()

    def headers(self) -> Headers:
        """Its headers."""
        wait = self.retry_after_s
        return [JSON, CORS, *([(b"retry-after", b"%d" % wait)] if wait is not None else [])]


class Tracking:
    """The tracking API."""

    def __init__(
        self,
        submitter: Submitter,
        keys: WriteKeys,
        rates: Rates,
        budget: Budget,
        *,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        """`new_id` names events that have no `messageId`."""
        self._submitter = submitter
        self._keys = keys
        self._rates = rates
        self._budget = budget
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            if scope["path"] in ENDPOINTS and scope["method"] == "OPTIONS":
                await answer(send, 200, b"", PREFLIGHT)
                return
            await self._take(scope, receive)
        except Refusal as refusal:
            await answer(send, refusal.status, refusal.body(), refusal.headers())
        else:
            await answer(send, 200, SUCCESS, [JSON, CORS])

    async def _take(self, scope: Scope, receive: Receive) -> None:
        if scope["path"] not in ENDPOINTS:
            raise Refusal(404, "not_found", "nothing is at this path")
        if scope["method"] != "POST":
            raise Refusal(405, "method_not_allowed", "events are sent by POST")
        key, encoding = _from_headers(scope["headers"])
        source = self._source(key) if key is not None else None
        kind = ENDPOINTS[scope["path"]]
        bytes_max = SINGLE_BYTES_MAX if kind else BATCH_BYTES_MAX
        document = await _document(receive, encoding, bytes_max, self._budget)
        if source is None:
            source = self._source(write_key_of(document))
        if not self._rates.take(source):
            raise Refusal(
                429,
                "too_many_requests",
                "the source makes too many requests",
                retry_after_s=RETRY_SOON_S,
            )
        arrival, refused = Arrival.at(self._clock.now_ms(), self._new_id), Refused()
        try:
            frames = single(document, kind, arrival, refused) if kind else batch(document, arrival, refused)
        except BadBody as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        accepted = await self._submit(source, frames)
        if refused.count:
            first = refused.told[0]
            message = f"event {first['index']}: {first['message']}" if kind is None else first["message"]
            raise Refusal(400, "invalid_event", message, accepted=accepted, refused=refused.told)

    def _source(self, key: str | None) -> str:
        """Of a write key. Before the daemon has told any, no key is wrong."""
        source = self._keys.source_of(key) if key is not None else None
        if source is not None:
            return source
        if not self._keys.is_known:
            raise Refusal(503, "unavailable", "the daemon is away", retry_after_s=RETRY_SOON_S)
        if key is None:
            raise Refusal(401, "unauthorized", "there is no write key in Authorization or `writeKey`")
        raise Refusal(401, "unauthorized", "no source has this write key")

    async def _submit(self, source: str, frames: Iterator[Events]) -> int:
        accepted = 0
        try:
            for events in frames:
                self._submitter.check()
                await self._submitter.submit(source, events)
                accepted += len(events.sizes)
        except Pressed:
            raise Refusal(429, "too_busy", "the disk doesn't keep up", retry_after_s=RETRY_SOON_S) from None
        except EngineError as error:
            raise _refusal_of(error) from None
        return accepted


def _refusal_of(error: EngineError) -> Refusal:
    """What a client is told of the daemon's answer."""
    if isinstance(error, NotFound):  # its source was removed meanwhile
        return Refusal(401, "unauthorized", "no source has this write key")
    if isinstance(error, JournalFull):
        return Refusal(429, error.code, "no more events can be stored for now", retry_after_s=RETRY_FULL_S)
    if isinstance(error, Unavailable):
        return Refusal(503, error.code, "the daemon is away, or stopping", retry_after_s=RETRY_SOON_S)
    if isinstance(error, UsageError):
        return Refusal(400, error.code, error.message)
    return Refusal(503, error.code, "the daemon failed at this", retry_after_s=RETRY_SOON_S)


def _from_headers(headers: Headers) -> tuple[str | None, bytes]:
    """The write key that Basic authentication names (None: look into the body), and the body's encoding."""
    key, encoding = None, b""
    for name, value in headers:
        if name == b"authorization":
            key = _basic(value)
        elif name == b"content-encoding":
            encoding = value
    return key, encoding


def _basic(value: bytes) -> str | None:
    """RFC 7617: the user's name is the key. The password is empty by custom, and isn't looked at."""
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, _ = base64.b64decode(rest.strip(), validate=True).partition(b":")
        return name.decode() if colon else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _document(receive: Receive, encoding: bytes, bytes_max: int, budget: Budget) -> Any:
    packed_max = bytes_max + (PACKED_MORE_BYTES_MAX if encoding else 0)
    try:
        return parse(inflate(await read_body(receive, packed_max, budget), encoding, bytes_max))
    except (BodyTooLarge, TooLarge):
        raise Refusal(
            400, "too_large", f"the body is longer than {bytes_max} bytes; send less at once"
        ) from None
    except NoRoom:
        raise Refusal(429, "too_busy", "too much arrives at once", retry_after_s=RETRY_SOON_S) from None
    except BadBody as error:
        raise Refusal(400, "invalid_request", str(error)) from None

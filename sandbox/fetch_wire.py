"""What travels between a worker and the egress, over a pipe pair of its own: frames as `sandbox.wire` makes them.

    worker ──► egress    Fetch Cancel            (hostile until checked: flat, capped, typed)
    egress ──► worker    Answer Body Failed

A worker numbers its fetches upwards from 1, each number once; all that comes back names it. What comes for a number
that the worker has given up is dropped, so that a deadline never puts the two out of step.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgpack

from sandbox.wire import KIB, MIB, Frame, WireError, decode_frame, refuse_nesting, unpack_limited

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUEST_BODY_BYTES_MAX: Final = 2 * MIB
RESPONSE_BYTES_MAX: Final = 8 * MIB
"""On the way and decoded: both."""
URL_CHARS_MAX: Final = 8 * KIB
HEADERS_MAX: Final = 100
HEADER_BYTES_MAX: Final = 32 * KIB
"""Names and values together."""
PIECE_BYTES_MAX: Final = 256 * KIB
"""Of a body in one `Answer` or `Body`."""
FETCHES_AN_INVOCATION: Final = 20
FETCHES_AN_EVENT_OF_A_BATCH: Final = 2


def fetches_max(batch_events: int) -> int:
    """What an invocation may make; `batch_events` is 0 of a single event."""
    return FETCHES_AN_INVOCATION + FETCHES_AN_EVENT_OF_A_BATCH * batch_events


TO_EGRESS_BYTES_MAX: Final = REQUEST_BODY_BYTES_MAX + 2 * HEADER_BYTES_MAX + 8 * URL_CHARS_MAX
FROM_EGRESS_BYTES_MAX: Final = MIB
_ITEMS_MAX: Final = 16

FOLLOW_REDIRECTS: Final = 1
LOADING: Final = 1 << 62
"""Added to how often the worker has loaded: the invocation of what a module fetches while it is loaded."""


@dataclass(frozen=True, slots=True)
class Fetch(Frame):
    """Send this request. `timeout_ms` covers all of it; the egress caps it with what the destination may take."""

    KIND = 1
    id: int
    invocation: int
    """The sequence number of the event, or of the first of a batch; above `LOADING` while the module is loaded."""
    method: str
    url: str
    headers: bytes
    """`pack_headers`."""
    body: bytes
    timeout_ms: int
    flags: int


@dataclass(frozen=True, slots=True)
class Cancel(Frame):
    """Nobody waits for it any more. Not answered; of a fetch that has ended it means nothing."""

    KIND = 2
    id: int


@dataclass(frozen=True, slots=True)
class Answer(Frame):
    """A response has come: its head, and the first piece of its body."""

    KIND = 16
    id: int
    status: int
    url: str
    """The last one, where redirects were followed."""
    headers: bytes
    body: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class Body(Frame):
    """The next piece of a response's body."""

    KIND = 17
    id: int
    body: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class Failed(Frame):
    """It has failed, at whatever stage. `code` is one of `FAILURES`."""

    KIND = 18
    id: int
    code: str
    message: str


FAILURES: Final = ("timeout", "connection", "refused", "too_large", "too_many", "invalid", "unmocked")
"""How a fetch can fail; each is a class of error in `sandbox.runtime.errors`."""

TO_EGRESS: Final[dict[int, type[Frame]]] = {cls.KIND: cls for cls in (Fetch, Cancel)}
FROM_EGRESS: Final[dict[int, type[Frame]]] = {cls.KIND: cls for cls in (Answer, Body, Failed)}


def decode_to_egress(body: bytes) -> Frame:
    """One frame of a worker, without its length. Raises `WireError` on anything but a known, well-typed one."""
    frame = decode_frame(body, TO_EGRESS, items_max=_ITEMS_MAX, list_hook=refuse_nesting)
    if isinstance(frame, Fetch):
        if len(frame.body) > REQUEST_BODY_BYTES_MAX or len(frame.url) > URL_CHARS_MAX:
            raise WireError("a fetch's body or URL is longer than allowed")
        if frame.timeout_ms < 0 or frame.invocation < 0:
            raise WireError("a fetch's deadline or invocation is negative")
    return frame


def decode_from_egress(body: bytes) -> Frame:
    """One frame of the egress, without its length."""
    return decode_frame(body, FROM_EGRESS, items_max=_ITEMS_MAX)


def pack_headers(headers: Sequence[tuple[str, str]]) -> bytes:
    """A flat msgpack array: name, value, name, value and so on."""
    packed: bytes = msgpack.packb(list(itertools.chain.from_iterable(headers)), unicode_errors="replace")
    return packed


def unpack_headers(packed: bytes) -> list[tuple[str, str]]:
    """Raises `WireError` unless `packed` is what `pack_headers` makes of at most `HEADERS_MAX` headers."""
    if len(packed) > HEADER_BYTES_MAX + 8 * HEADERS_MAX:
        raise WireError("headers are longer than allowed")
    items = unpack_limited(packed, items_max=2 * HEADERS_MAX, map_max=0)
    if type(items) is not list or len(items) % 2 or not {str}.issuperset(map(type, items)):
        raise WireError("not a list of headers")
    return list(zip(items[::2], items[1::2], strict=True))

"""The frames between clients and the daemon; `engine/README.md` tells a client's author the same in words.

    client ──► daemon   Hello Submit Call Credit Cancel
    daemon ──► client   Welcome Accepted Settled Result Error Item End

Ids are the client's: any whole number, one request each on a connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox.wire import CLIENT_ITEMS_MAX, Events, Frame, WireError, check_events, unpack_limited

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBMIT_WAIT: Final = 1
"""Send `Settled` once every event has had its first outcome."""
SUBMIT_NO_DEDUPE: Final = 2
"""Deliver what was accepted before, too."""
SUBMIT_TO_SOURCE: Final = 4
"""The name is a source's: its events go to all destinations that are connected."""
MAP_ITEMS_MAX: Final = 2_500
CONNECTION_ID: Final = -1
"""The id of an `Error` that concerns the connection itself, and ends it."""


@dataclass(frozen=True, slots=True)
class Hello(Frame):
    """First on every connection."""

    KIND = 0
    protocol: int
    token: str | None
    """Whoever shows one is whose token it is, and not the process's user."""
    is_relay: bool = False
    """This connection carries what others ask: its calls have tokens of their own. By itself it may what the role `ingest` may."""


@dataclass(frozen=True, slots=True)
class Submit(Frame):
    """Events for one destination or from one source, as columns; all are accepted or none."""

    KIND = 1
    id: int
    destination: str
    flags: int
    types: bytes
    message_ids: list[str]
    user_keys: list[str]
    integrations: dict[int, bytes]
    sizes: list[int]
    bodies: bytes

    def events(self) -> Events:
        """The columns, checked. Raises `WireError`."""
        events = Events(
            self.types, self.message_ids, self.user_keys, self.integrations, self.sizes, self.bodies
        )
        check_events(events)
        return events


@dataclass(frozen=True, slots=True)
class Call(Frame):
    """One operation with its arguments."""

    KIND = 2
    id: int
    operation: str
    arguments: dict[str, Any]
    token: str | None = None
    """On a relay's connection: of whoever asks."""
    origin: str = ""
    """On a relay's connection: the address that it comes from; else empty."""


@dataclass(frozen=True, slots=True)
class Credit(Frame):
    """The client can take `count` more items of a stream."""

    KIND = 3
    id: int
    count: int


@dataclass(frozen=True, slots=True)
class Cancel(Frame):
    """The client wants no more of a request."""

    KIND = 4
    id: int


@dataclass(frozen=True, slots=True)
class Welcome(Frame):
    """The daemon's first frame: its protocol version, its limits, what it is."""

    KIND = 0
    protocol: int
    limits: dict[str, int]
    info: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted(Frame):
    """The events of a submit are durable."""

    KIND = 1
    id: int
    accepted: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class Settled(Frame):
    """Every event of a submit has had its first outcome."""

    KIND = 2
    id: int
    delivered: int
    discarded: int
    retrying: int
    dead: int
    by_code: dict[str, int]
    details: dict[str, bytes]
    """Code → packed `sandbox.wire.Detail` of the first event that ended so."""


@dataclass(frozen=True, slots=True)
class Result(Frame):
    """What an operation returned."""

    KIND = 3
    id: int
    value: Any

    @classmethod
    def from_items(cls, items: list[Any]) -> Result:
        """The value may be of any type that msgpack knows."""
        if len(items) != 2 or type(items[0]) is not int:
            raise WireError("Result has 2 fields")
        return cls(*items)


@dataclass(frozen=True, slots=True)
class Error(Frame):
    """A request failed; with the id `CONNECTION_ID` the connection itself did, and ends."""

    KIND = 4
    id: int
    code: str
    message: str
    remedy: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item(Frame):
    """One of a stream."""

    KIND = 5
    id: int
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class End(Frame):
    """A stream is over."""

    KIND = 6
    id: int


FROM_CLIENT: Final[dict[int, type[Frame]]] = {cls.KIND: cls for cls in (Hello, Submit, Call, Credit, Cancel)}
FROM_DAEMON: Final[dict[int, type[Frame]]] = {
    cls.KIND: cls for cls in (Welcome, Accepted, Settled, Result, Error, Item, End)
}


def decode(
    body: bytes,
    table: Mapping[int, type[Frame]],
    *,
    items_max: int = CLIENT_ITEMS_MAX,
    map_max: int = MAP_ITEMS_MAX,
) -> Frame:
    """One frame without its length. Raises `WireError` on anything but a known, well-typed frame."""
    items = unpack_limited(body, items_max=items_max, map_max=map_max)
    if type(items) is not list or not items or type(items[0]) is not int:
        raise WireError("a frame is an array that begins with its kind")
    cls = table.get(items[0])
    if cls is None:
        raise WireError(f"no frame has the kind {items[0]}")
    return cls.from_items(items[1:])

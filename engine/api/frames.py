"""The frames between clients and the daemon; `engine/README.md` tells a client's author the same in words.

    client ──► daemon   Hello Submit Call Credit Cancel
    daemon ──► client   Welcome Accepted Settled Delivered Result Error Item End

Ids are the client's: any whole number, one request each on a connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import msgpack

from sandbox.wire import CLIENT_ITEMS_MAX, LENGTH, Events, Frame, WireError, decode_frame

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


@dataclass(slots=True)  # not frozen: that would take three times as long to make, and there is one a submit
class Submit(Frame):
    """Events for one destination or from one source, as columns; all are accepted or none.

    On the wire the columns stand in the place of `events`. They are checked by `check_events`.
    """

    KIND = 1
    id: int
    destination: str
    flags: int
    events: Events

    def pack(self) -> bytes:
        """The frame's bytes, length included."""
        body: bytes = msgpack.packb([self.KIND, self.id, self.destination, self.flags, *self.events])
        return LENGTH.pack(len(body)) + body

    @classmethod
    def from_items(cls, items: list[Any]) -> Self:
        """Raise `WireError` unless the fields and the columns have exactly their types."""
        types = tuple(map(type, items))
        if types != _SUBMIT_TYPES:
            raise WireError(f"Submit has the types {', '.join(each.__name__ for each in types)}")
        return cls(items[0], items[1], items[2], Events(*items[3:]))


_SUBMIT_TYPES: Final = (int, str, int, bytes, list, list, dict, list, bytes)


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
    """The events of submits are durable: a place a submit in each column."""

    KIND = 1
    ids: list[int]
    accepted: list[int]
    duplicates: list[int]


@dataclass(frozen=True, slots=True)
class Settled(Frame):
    """Every event of a submit has had its first outcome, and not all were delivered."""

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


@dataclass(frozen=True, slots=True)
class Delivered(Frame):
    """Every event of submits was delivered by its first attempt: a place a submit in each column."""

    KIND = 7
    ids: list[int]
    counts: list[int]


Answer: TypeAlias = Settled | Result | Error | Item | End
"""What names the one request that it is about."""

FROM_CLIENT: Final[dict[int, type[Frame]]] = {cls.KIND: cls for cls in (Hello, Submit, Call, Credit, Cancel)}
FROM_DAEMON: Final[dict[int, type[Frame]]] = {
    cls.KIND: cls for cls in (Welcome, Accepted, Settled, Result, Error, Item, End, Delivered)
}


def decode(
    body: bytes,
    table: Mapping[int, type[Frame]],
    *,
    items_max: int = CLIENT_ITEMS_MAX,
    map_max: int = MAP_ITEMS_MAX,
) -> Frame:
    """One frame without its length. Raises `WireError` on anything but a known, well-typed frame."""
    return decode_frame(body, table, items_max=items_max, map_max=map_max)

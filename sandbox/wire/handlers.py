"""The table of handlers that a module defines: a packed column of `Loaded`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack

from sandbox.wire.decoding import WireError, refuse_nesting, unpack_limited
from sandbox.wire.events import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence


class Handler(NamedTuple):
    """A handler the module defines."""

    name: str
    """`on_track` or the document's spelling `onTrack`: as the author wrote it."""
    event_type: str
    """A member of `EVENT_TYPES`, or `batch`."""
    is_async: bool
    takes_settings: bool
    line: int


HANDLERS_MAX: Final = len(EVENT_TYPES) + 1
_HANDLER_TYPES: Final = (str, str, bool, bool, int)


def pack_handlers(handlers: Sequence[Handler]) -> bytes:
    """A flat msgpack array, five items a handler."""
    packed: bytes = msgpack.packb(list(itertools.chain.from_iterable(handlers)))
    return packed


def unpack_handlers(packed: bytes) -> tuple[Handler, ...]:
    """Raise `WireError` unless `packed` is what `pack_handlers` makes."""
    width = len(Handler._fields)
    items = unpack_limited(packed, items_max=HANDLERS_MAX * width, map_max=0, list_hook=refuse_nesting)
    if type(items) is not list or len(items) % width or not items:
        raise WireError("not a table of handlers")
    handlers = []
    for at in range(0, len(items), width):
        row = items[at : at + width]
        if (
            tuple(map(type, row)) != _HANDLER_TYPES
            or len(row[0]) > 40
            or row[1] not in {*EVENT_TYPES, "batch"}
        ):
            raise WireError("not a table of handlers")
        handlers.append(Handler(*row))
    if len({handler.event_type for handler in handlers}) != len(handlers):
        raise WireError("two handlers for one type")
    return tuple(handlers)

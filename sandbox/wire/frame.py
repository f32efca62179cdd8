"""A frame: its bytes, its fields, and their types, which are checked when it arrives."""

from __future__ import annotations

import itertools
import struct
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import msgpack

from sandbox.wire.decoding import WireError, unpack_limited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROTOCOL_VERSION: Final = 1
"""Of the conversation with clients; supervisor, workers and egress are always of one installation."""
LENGTH: Final = struct.Struct(">I")


class Frame:
    """A frame is its fields in order, after its kind. Subclasses are dataclasses; their types are checked on arrival."""

    __slots__ = ()
    KIND: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def pack(self) -> bytes:
        """The frame's bytes, length included."""
        body: bytes = msgpack.packb([self.KIND, *(getattr(self, name) for name in _names(type(self)))])
        return LENGTH.pack(len(body)) + body

    @classmethod
    def from_items(cls, items: list[Any]) -> Self:
        """Raise `WireError` unless `items` (after the kind) have the declared number and exact types."""
        if tuple(map(type, items)) not in _signatures(cls):
            raise WireError(_misfit(cls, items))
        return cls(*items)


_NAMES: dict[type, tuple[str, ...]] = {}
_SIGNATURES: dict[type, frozenset[tuple[type, ...]]] = {}
_BY_NAME: Final[dict[str, type]] = {
    "int": int,
    "str": str,
    "bytes": bytes,
    "bool": bool,
    "None": type(None),
    "list": list,
    "dict": dict,
    "float": float,
}


def _names(cls: type[Frame]) -> tuple[str, ...]:
    if cls not in _NAMES:
        _NAMES[cls] = tuple(item.name for item in fields(cls))
    return _NAMES[cls]


def _signatures(cls: type[Frame]) -> frozenset[tuple[type, ...]]:
    """Every row of types that its fields may have."""
    if cls not in _SIGNATURES:
        _SIGNATURES[cls] = frozenset(itertools.product(*(_types(item) for item in fields(cls))))
    return _SIGNATURES[cls]


def _types(item: Field[Any]) -> tuple[type, ...]:
    return tuple(_BY_NAME[part.split("[")[0].strip()] for part in str(item.type).split("|"))


def _misfit(cls: type[Frame], items: list[Any]) -> str:
    declared = fields(cls)
    if len(items) != len(declared):
        return f"{cls.__name__} has {len(declared)} fields, not {len(items)}"
    return next(
        f"{cls.__name__}.{field.name} is a {type(item).__name__}"
        for item, field in zip(items, declared, strict=True)
        if type(item) not in _types(field)
    )


def decode_frame(
    body: bytes,
    table: Mapping[int, type[Frame]],
    *,
    items_max: int,
    map_max: int = 0,
    list_hook: Callable[[list[Any]], list[Any]] | None = None,
) -> Frame:
    """One frame of `table`, without its length. Raises `WireError` on anything else."""
    items = unpack_limited(body, items_max=items_max, map_max=map_max, list_hook=list_hook)
    if type(items) is not list or not items or type(items[0]) is not int:
        raise WireError("a frame is an array that begins with its kind")
    cls = table.get(items[0])
    if cls is None:
        raise WireError(f"no frame has the kind {items[0]}")
    return cls.from_items(items[1:])

"""Libraries that functions may import, as `Refused` names those that a worker lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgpack

from sandbox.wire.decoding import WireError, refuse_nesting, unpack_limited

if TYPE_CHECKING:
    from collections.abc import Iterable

LIBRARIES: Final[dict[str, tuple[str, ...]]] = {
    "cryptography": ("cryptography",),
    "jwt": ("jwt", "cryptography"),
    "phonenumbers": ("phonenumbers",),
    "pydash": ("pydash",),
    "whenever": ("whenever", "tzdata"),
    "xmltodict": ("xmltodict", "defusedxml"),
}
"""What functions may import where the operator allows it → what must be installed for that."""


def pack_libraries(names: Iterable[str]) -> bytes:
    """A msgpack array of names."""
    packed: bytes = msgpack.packb(sorted(names))
    return packed


def unpack_libraries(packed: bytes) -> tuple[str, ...]:
    """Raise `WireError` unless `packed` is what `pack_libraries` makes of some of `LIBRARIES`."""
    names = unpack_limited(packed, items_max=len(LIBRARIES), map_max=0, list_hook=refuse_nesting)
    if type(names) is not list or not names or any(type(name) is not str for name in names):
        raise WireError("not a list of libraries")
    if not LIBRARIES.keys() >= set(names) or len(set(names)) < len(names):
        raise WireError("a library that there isn't, or one twice")
    return tuple(names)

"""msgpack from whoever may be hostile: bounded before anything is allocated for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

from sandbox.wire.limits import DETAIL_BYTES_MAX, OPAQUE_DEPTH_MAX, OPAQUE_ITEMS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable


class WireError(Exception):
    """The other side broke the protocol. Nothing is resynchronised: the connection or the worker ends."""


def unpack_limited(
    body: bytes,
    *,
    items_max: int,
    map_max: int,
    list_hook: Callable[[list[Any]], list[Any]] | None = None,
    object_pairs_hook: Callable[[list[tuple[Any, Any]]], dict[str, Any]] | None = None,
) -> Any:
    """Decode one msgpack value that fills `body` exactly; raise `WireError` otherwise, or beyond the limits.

    `items_max` and `map_max` bound each array and map, not all together. The hooks see each of them, the inner ones first.
    """
    try:
        return msgpack.unpackb(
            body,
            max_array_len=items_max,
            max_map_len=map_max,
            max_ext_len=0,
            max_str_len=len(body),
            max_bin_len=len(body),
            strict_map_key=False,
            ext_hook=_refuse_extension,
            list_hook=list_hook,
            object_pairs_hook=object_pairs_hook,
        )
    except (
        ValueError,
        TypeError,
        msgpack.exceptions.UnpackException,
        RecursionError,
        OverflowError,
    ) as error:
        raise WireError(f"not a msgpack frame: {error}") from None


def _refuse_extension(code: int, _data: bytes) -> Any:
    raise ValueError(f"extension type {code}")


def refuse_nesting(items: list[Any]) -> list[Any]:
    """The second array of a frame ends the decoding: before that, one a level is all there can be."""
    if list in map(type, items):
        raise ValueError("an array within an array")
    return items


def unpack_opaque(packed: bytes, *, bytes_max: int = DETAIL_BYTES_MAX) -> Any:
    """What a worker said of itself, to be shown. Raises `WireError` beyond the limits.

    Bytes, items and depth are counted before anything is allocated for them; keys are text, and none comes twice.
    """
    if len(packed) > bytes_max:
        raise WireError(f"{len(packed)} bytes; at most {bytes_max} are allowed")
    _check_shape(packed, items_max=OPAQUE_ITEMS_MAX, depth_max=OPAQUE_DEPTH_MAX)
    return unpack_limited(
        packed, items_max=OPAQUE_ITEMS_MAX, map_max=OPAQUE_ITEMS_MAX, object_pairs_hook=_map_of_texts
    )


def _map_of_texts(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs) or not all(type(key) is str for key in items):
        raise ValueError("a map's keys are text, each once")
    return items


_SIZES_OF: Final[dict[int, tuple[int, bool]]] = {
    **{0xC4 + at: (1 << at, True) for at in range(3)},  # bin
    **{0xD9 + at: (1 << at, True) for at in range(3)},  # str
    **{0xCC + at: (1 << at, False) for at in range(4)},  # unsigned
    **{0xD0 + at: (1 << at, False) for at in range(4)},  # signed
    0xCA: (4, False),
    0xCB: (8, False),
}
"""First byte → bytes that follow it, and whether they say how many more do. msgpack's specification."""
_CONTAINERS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""First byte → bytes of the count, and values an entry: arrays and maps."""


def _check_shape(packed: bytes, *, items_max: int, depth_max: int) -> None:
    """Raise `WireError` if there are more values than `items_max`, or deeper than `depth_max`. Allocates nothing."""
    at, items, open_values = 0, 1, [1]
    try:
        while open_values:
            if not open_values[-1]:
                open_values.pop()
                continue
            open_values[-1] -= 1
            tag = packed[at]
            at += 1
            values = 0
            if 0x80 <= tag <= 0x9F:
                values = (tag & 15) * (2 if tag < 0x90 else 1)
            elif 0xA0 <= tag <= 0xBF:
                at += tag & 31
            elif tag in _CONTAINERS:
                size, each = _CONTAINERS[tag]
                values = int.from_bytes(packed[at : at + size], "big") * each
                at += size
            elif tag in _SIZES_OF:
                size, is_length = _SIZES_OF[tag]
                at += size + (int.from_bytes(packed[at : at + size], "big") if is_length else 0)
            items += values
            if values:
                open_values.append(values)
            if items > items_max or len(open_values) > depth_max + 1:
                raise WireError("too many values, or too deep")
    except IndexError:
        raise WireError("it ends before its time") from None

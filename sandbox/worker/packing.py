"""Before the first fork: what workers change lies together, for they copy each page that they change.

What importing threw away has left holes all over the zygote's memory, in the interpreter's pools for small objects and in
the C library's heap. A worker that puts something into one copies the page around it, which it shares otherwise: 4 KiB
for a few dozen bytes. So the holes are filled, with what is never looked at again: 0.3 MiB less a worker. And to run code is to
change it, for who uses it is counted in it: what every worker runs gets its code anew, side by side: 0.1 MiB less.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import partial
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SMALL_BYTES_MAX: Final = 512
"""What the interpreter allocates itself; larger objects are the C library's."""
CLASS_BYTES: Final = 16
POOL_BYTES: Final = 16 * 1024
POOL_HEAD_BYTES: Final = 48
BLOCK_BYTES: Final = (16_384, 8_192, 4_096, 2_048, 1_024, *range(SMALL_BYTES_MAX, CLASS_BYTES, -CLASS_BYTES))
"""Of the heap; large ones first, for they leave smaller holes."""
BLOCK_HEAD_BYTES: Final = 16
NEIGHBOURS: Final = 4
"""So many blocks side by side come from where the heap is still whole."""
BYTES_MAX: Final = 256 * 1024
"""Of each size: an allocator that works otherwise is left alone. So is the size of floats, which is that of the numbers in here."""

_kept: list[object] = []


def fill_holes() -> None:
    """What is allocated after this comes from memory that is still whole."""
    head = sys.getsizeof(b"")
    _fill_pools(CLASS_BYTES, object)
    _fill_pools(2 * CLASS_BYTES, lambda: float("1.5"))
    for size in range(3 * CLASS_BYTES, SMALL_BYTES_MAX + 1, CLASS_BYTES):
        _fill_pools(size, partial(bytes, size - head))
    _fill_heap()


def _fill_pools(size: int, make: Callable[[], object]) -> None:
    """`make` objects of one size until they have filled a whole pool, from its first place to its last: the next begins another."""
    steps = (POOL_BYTES - POOL_HEAD_BYTES) // size - 1
    taken = before = 0
    for _ in range(BYTES_MAX // size):
        made = make()
        _kept.append(made)
        taken = taken + 1 if id(made) - before == size else 0
        before = id(made)
        if taken == steps:
            return


def _fill_heap() -> None:
    malloc = ctypes.CDLL(None).malloc
    malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    for size in BLOCK_BYTES:
        _fill_blocks(size, malloc)


def _fill_blocks(size: int, malloc: Callable[[int], int | None]) -> None:
    """Take blocks of one size until several lie side by side."""
    taken = before = 0
    for _ in range(BYTES_MAX // size):
        at = malloc(size) or 0
        taken = taken + 1 if at - before == size + BLOCK_HEAD_BYTES else 0
        before = at
        if taken == NEIGHBOURS:
            return


def renew_code(codes: Collection[CodeType]) -> None:
    """Functions that have one of `codes` get a copy of it. What the interpreter has learned of it is lost."""
    wanted = {id(code) for code in codes}
    for each in gc.get_objects():
        if type(each) is FunctionType and id(each.__code__) in wanted:
            each.__code__ = each.__code__.replace()

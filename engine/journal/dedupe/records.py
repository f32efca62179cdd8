"""Pure: ids as digests, digests with their time as records, and which runs of a bucket stay."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKETS: Final = 4096
DIGEST_BYTES: Final = 12
RECORD_BYTES: Final = 16
_SCOPE: Final = struct.Struct("<q")
_STAMP: Final = struct.Struct(">I")

Numbers = tuple[int, ...]
"""The first 64 bits of digests: the lowest 12 name the bucket."""


def digests_of(secret: bytes, scope: int, ids: Sequence[str]) -> list[bytes]:
    """A digest an id: of the secret, the scope and the id. The secret comes first, and BLAKE2 can't be extended."""
    begin = hashlib.blake2b(secret + _SCOPE.pack(scope), digest_size=DIGEST_BYTES).copy
    digests = []
    for one in ids:
        state = begin()  # a quarter less time than a new one
        state.update(one.encode())
        digests.append(state.digest())
    return digests


def numbers_of(digests: bytes) -> Numbers:
    """Of digests that stand one after the other."""
    return struct.unpack("<" + "Q4x" * (len(digests) // DIGEST_BYTES), digests)


def numbers_of_records(records: bytes) -> Numbers:
    """Of records that stand one after the other."""
    return struct.unpack("<" + "Q8x" * (len(records) // RECORD_BYTES), records)


def stamp_of(at_s: int) -> bytes:
    """The end of a record: when it was made, in seconds since the epoch, until the year 2106."""
    return _STAMP.pack(min(max(at_s, 0), 2**32 - 1))


def newest_s(records: bytes) -> int:
    """The latest time in records: not that of the last, as clocks go back."""
    return (
        max(times) if (times := struct.unpack(">" + "12xI" * (len(records) // RECORD_BYTES), records)) else 0
    )


def has_match(records: bytes | bytearray, digest: bytes, *, now_s: int, window_s: int) -> bool:
    """There is a record of `digest` less than `window_s` away from now: a clock that was wrong stands ahead, too."""
    at = records.find(digest)
    while at >= 0:
        if not at % RECORD_BYTES:
            (made_s,) = _STAMP.unpack_from(records, at + DIGEST_BYTES)
            if abs(now_s - made_s) < window_s:
                return True
        at = records.find(digest, at + 1)
    return False


class Run(NamedTuple):
    """Records of a bucket that are stored together."""

    key: int
    newest_s: int
    size_bytes: int


class Plan(NamedTuple):
    """What a sweep does with a bucket's runs."""

    drop: list[Run]
    """Too old, or too much."""
    merge: list[Run]
    """Become one with what is recent."""


SMALL_BYTES: Final = 4096
MERGED_RUNS: Final = 7


def plan(runs: Sequence[Run], recent_bytes: int, *, expired_s: int, bytes_max: int) -> Plan:
    """`runs` from the oldest to the newest; those that are as old as `expired_s` go, and then as many as are beyond `bytes_max`."""
    drop = [run for run in runs if run.newest_s <= expired_s]
    kept = [run for run in runs if run.newest_s > expired_s]
    over = sum(run.size_bytes for run in kept) + recent_bytes - bytes_max
    while kept and over > 0:
        over -= kept[0].size_bytes
        drop.append(kept.pop(0))
    merge: list[Run] = []
    while kept and kept[-1].size_bytes < SMALL_BYTES:
        merge.insert(0, kept.pop())
    return Plan(drop, merge if len(merge) >= MERGED_RUNS else [])

"""Pure: histograms whose buckets are fixed, so that any two can be added up.

A histogram is a dict: bucket → count. Values are whole numbers. Below 16 each has a bucket of its own; above, eight
buckets divide each doubling (as in HdrHistogram, with three significant bits):

    value   … 14 15 | 16..17 18..19 … 30..31 | 32..35 36..39 …
    bucket  … 14 15 | 16     17     … 23     | 24     25     …

A percentile is the middle of its bucket, and so at most 1/16 (6.25 %) off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgpack

if TYPE_CHECKING:
    from collections.abc import Mapping

Histogram: TypeAlias = dict[int, int]
VALUE_MAX: Final = (1 << 40) - 1
"""What is larger is counted as this: 34 years in milliseconds, 12 days in microseconds."""
_BITS: Final = 3
BUCKETS_MAX: Final = (40 - _BITS + 1) << _BITS
ERROR_MAX: Final = 1 / (2 << _BITS)


def bucket_of(value: int) -> int:
    """The bucket of a value; one below 0 (a clock was set back) counts as 0."""
    value = min(max(value, 0), VALUE_MAX)
    shift = max(value.bit_length() - _BITS - 1, 0)
    return (shift << _BITS) + (value >> shift)


def middle_of(bucket: int) -> float:
    """The middle of the values of a bucket."""
    shift = max((bucket >> _BITS) - 1, 0)
    low = (bucket - (shift << _BITS)) << shift
    return low + ((1 << shift) - 1) / 2


def merge(into: Histogram, other: Mapping[int, int]) -> None:
    """Add up, in place."""
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count


def percentile(histogram: Mapping[int, int], percent: float) -> float | None:
    """By nearest rank; None of an empty histogram. `percent` is more than 0 and at most 100."""
    total = sum(histogram.values())
    if not total:
        return None
    left = max(total * percent / 100, 1)
    bucket = 0
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        if left <= 0:
            break
    return middle_of(bucket)


def pack(histogram: Mapping[int, int]) -> bytes:
    """Compact: steps from bucket to bucket and counts, in turn; most take a byte each."""
    flat: list[int] = []
    before = 0
    for bucket in sorted(histogram):
        flat += (bucket - before, histogram[bucket])
        before = bucket
    packed: bytes = msgpack.packb(flat)
    return packed


def unpack(packed: bytes) -> Histogram:
    """The opposite of `pack`. Raises `ValueError` for what `pack` didn't write."""
    flat: Any = msgpack.unpackb(packed)
    if (
        not isinstance(flat, list)
        or len(flat) % 2
        or not all(type(item) is int and item >= 0 for item in flat)
    ):
        raise ValueError("no packed histogram")
    histogram: Histogram = {}
    bucket = 0
    for at in range(0, len(flat), 2):
        bucket += flat[at]
        histogram[bucket] = flat[at + 1]
    return histogram


def join_packed(one: bytes, other: bytes) -> bytes:
    """Add up two that are packed."""
    joined = unpack(one)
    merge(joined, unpack(other))
    return pack(joined)

"""A blocked Bloom filter of fixed size, of which a bucket's part can be built anew."""

from __future__ import annotations

import mmap
from array import array
from typing import TYPE_CHECKING, Final

from engine.journal.dedupe.records import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterable

MASKS: Final = tuple(
    1 << (first := number & 15)
    | 1 << 16 + (second := number >> 4 & 15)
    | 1 << 32 + (third := number >> 8)
    | 1 << 48 + (first + second + third & 15)
    for number in range(4096)
)
"""Patterns of four bits, one in each quarter of a word; the digest's highest twelve bits choose. Any two have two bits in common at most."""


class Filter:
    """Words of 64 bits. The word of a number is chosen by its low bits, of which the lowest name the bucket."""

    def __init__(self, size_bytes: int) -> None:
        """The largest power of two within `size_bytes`, and a word a bucket at least. Nothing is in it."""
        size_bytes = max(8 * BUCKETS, 1 << size_bytes.bit_length() - 1)
        # Of the system, which gives a page when it is first written: tens of MiB needn't be filled with zeros at each start.
        room = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.words = memoryview(room).cast("Q")
        self.last = len(self.words) - 1

    def take_all_for_known(self) -> None:
        """Until `rebuild` says what is in a bucket."""
        self.words = memoryview(bytearray(b"\xff") * self.words.nbytes).cast("Q")

    def adopt(self, words: bytes) -> bool:
        """Be as a filter of this size was; False if it had another size."""
        if len(words) != self.words.nbytes:
            return False
        self.words = memoryview(bytearray(words)).cast("Q")
        return True

    def add(self, numbers: Iterable[int]) -> set[int]:
        """From now on they are taken for known. Returns those that were before: added earlier, here, or by chance."""
        words, last, masks = self.words, self.last, MASKS
        suspects = set()
        for number in numbers:
            mask = masks[number >> 52]
            word = words[number & last]
            if word & mask == mask:
                suspects.add(number)
            else:
                words[number & last] = word | mask
        return suspects

    def rebuild(self, bucket: int, numbers: Iterable[int]) -> None:
        """These, all of `bucket`, are what is in it."""
        part = array("Q", bytes(8 * (len(self.words) // BUCKETS)))
        last, masks = self.last, MASKS
        for number in numbers:
            part[(number & last) // BUCKETS] |= masks[number >> 52]
        self.words[bucket::BUCKETS] = memoryview(part)

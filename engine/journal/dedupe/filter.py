"""A blocked Bloom filter of fixed size, of which a bucket's part can be built anew."""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING, Final

from engine.journal.dedupe.records import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterable

BITS_AN_ID: Final = 4
_rng = random.Random(0)  # noqa: S311 - patterns, no secret: what they are applied to is keyed
MASKS: Final = tuple(sum(1 << bit for bit in _rng.sample(range(64), BITS_AN_ID)) for _ in range(4096))
"""Patterns of four bits; the digest's highest twelve bits choose."""
_ALL: Final = 2**64 - 1


class Filter:
    """Words of 64 bits. The word of a number is chosen by its low bits, of which the lowest name the bucket."""

    def __init__(self, size_bytes: int) -> None:
        """The largest power of two within `size_bytes`, and a word a bucket at least. Nothing is in it."""
        self.words = array("Q", bytes(max(8 * BUCKETS, 1 << size_bytes.bit_length() - 1)))
        self.last = len(self.words) - 1

    def take_all_for_known(self) -> None:
        """Until `rebuild` says what is in a bucket."""
        self.words = array("Q", [_ALL]) * len(self.words)

    def adopt(self, words: bytes) -> bool:
        """Be as a filter of this size was; False if it had another size."""
        if len(words) != 8 * len(self.words):
            return False
        self.words = array("Q", words)
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
        self.words[bucket::BUCKETS] = part

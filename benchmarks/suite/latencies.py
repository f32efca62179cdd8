"""Latencies in an HDR histogram, corrected for coordinated omission.

Who sends the next request only when the last one was answered doesn't see what those who would have come in between
had waited: one stall of a second, at 100 requests a second, is one slow sample and not a hundred. Two cures, by
how the load is made:

- open loop (`latency`): requests have a time at which they are due, and their latency counts from it, sent or not. That
  leaves nothing to correct.
- one after the other, at an interval (`fairness`): for a sample longer than the interval the ones that it kept from
  being taken are added, at one interval less each, as HdrHistogram's `recordValueWithExpectedInterval` does.
"""

from __future__ import annotations

from typing import Final, Self

from hdrh.histogram import HdrHistogram

LOWEST_US: Final = 1
HIGHEST_US: Final = 600_000_000
"""Ten minutes; what takes longer counts as that."""
DIGITS: Final = 3
"""Two values that differ by a thousandth are told apart."""


class Latencies:
    """Owner of one histogram; microseconds within, milliseconds without."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)

    @classmethod
    def decoded(cls, text: str) -> Self:
        """Of what `encoded` answered."""
        latencies = cls()
        latencies._histogram.decode_and_add(text)
        return latencies

    def encoded(self) -> str:
        """HdrHistogram's own compressed form, as base64."""
        return bytes(self._histogram.encode()).decode("ascii")

    def record(self, elapsed_s: float, *, interval_s: float = 0.0) -> None:
        """One sample; with `interval_s`, those too that it kept from being taken."""
        elapsed_us = min(HIGHEST_US, max(LOWEST_US, round(elapsed_s * 1e6)))
        if interval_s:
            self._histogram.record_corrected_value(elapsed_us, round(interval_s * 1e6))
        else:
            self._histogram.record_value(elapsed_us)

    def add(self, other: Latencies) -> None:
        """Count the samples of another too."""
        self._histogram.add(other._histogram)

    @property
    def count(self) -> int:
        """Samples, with those that were added by the correction."""
        return int(self._histogram.get_total_count())

    def percentile_ms(self, percent: float) -> float:
        """So many percent of the samples took no longer. Raises `ValueError` if there is none."""
        if not self.count:
            raise ValueError("no latency was recorded")
        return float(self._histogram.get_value_at_percentile(percent)) / 1000

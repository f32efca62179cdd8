"""What gateways have answered: each tells its own, here they add up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from engine.metrics import OTHER, REQUEST_BOUNDS_S, Buckets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.metrics import Samples

ENDPOINTS_MAX: Final = 150
"""Names of endpoints that are told apart; there are fewer."""


class HttpTally:
    """Requests by endpoint and status, and what they took."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._seconds: dict[str, Buckets] = {}

    def count(
        self,
        requests: Mapping[str, Mapping[str, int]],
        seconds: Mapping[str, tuple[Sequence[int], float]],
    ) -> None:
        """Add what a gateway tells: endpoint → status → count, endpoint → (a count a bucket, sum)."""
        for endpoint, by_status in requests.items():
            self._counts.setdefault(self._known(endpoint), Counter()).update(by_status)
        for endpoint, (counts, total) in seconds.items():
            buckets = self._seconds.setdefault(self._known(endpoint), Buckets(REQUEST_BOUNDS_S))
            buckets.merge(counts, total)

    def _known(self, endpoint: str) -> str:
        is_new = endpoint not in self._counts and endpoint not in self._seconds
        return OTHER if is_new and max(len(self._counts), len(self._seconds)) >= ENDPOINTS_MAX else endpoint

    def report(self, samples: Samples) -> None:
        """As samples."""
        for endpoint, by_status in sorted(self._counts.items()):
            for status, count in sorted(by_status.items()):
                samples.add("http_requests_total", count, endpoint, status)
        for endpoint, buckets in sorted(self._seconds.items()):
            samples.add("http_request_seconds", buckets, endpoint)

"""What is counted of requests, under few names; told to the daemon, so that the figures of all gateways add up.

A second at most is lost with a gateway that is killed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from engine.errors import EngineError
from engine.gateway.public_api.api import template_of
from engine.gateway.routes import PREFIX, match
from engine.gateway.tracking.api import ENDPOINTS
from engine.metrics import REQUEST_BOUNDS_S, Buckets

if TYPE_CHECKING:
    from engine.gateway.link import Link

TELL_EVERY_S: Final = 1.0
OTHER: Final = "other"
_WHOLE: Final = frozenset({"/livez", "/readyz", "/metrics", f"{PREFIX}/openapi.json"})


def endpoint_of(path: str) -> str:
    """The name under which requests for a path are counted: of those there are, never what a client made up."""
    if path in _WHOLE or path in ENDPOINTS:
        return path
    if path.startswith(f"{PREFIX}/"):
        found = match(path[len(PREFIX) :])
        return PREFIX + next(iter(found.by_method.values())).path if found is not None else OTHER
    template = template_of(path)
    return template[0] if template is not None else OTHER


class Requests:
    """Owner of what was counted and not yet told."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._seconds: dict[str, Buckets] = {}

    def add(self, path: str, status: int, seconds: float) -> None:
        """One request was answered."""
        endpoint = endpoint_of(path)
        counts = self._counts.get(endpoint)
        if counts is None:
            counts = self._counts[endpoint] = {}
            self._seconds[endpoint] = Buckets(REQUEST_BOUNDS_S)
        name = str(status)
        counts[name] = counts.get(name, 0) + 1
        self._seconds[endpoint].add(seconds)

    async def tell(self, link: Link) -> None:
        """The daemon takes what was counted; what it doesn't take is told the next time. Raises nothing."""
        counts, self._counts = self._counts, {}
        seconds, self._seconds = self._seconds, {}
        if not counts:
            return
        try:
            await link.calls.call("http.count", requests=counts, seconds=_maps(seconds))
        except EngineError:
            self._put_back(counts, seconds)

    def _put_back(self, counts: dict[str, dict[str, int]], seconds: dict[str, Buckets]) -> None:
        for endpoint, by_status in counts.items():
            ours = self._counts.setdefault(endpoint, {})
            for status, count in by_status.items():
                ours[status] = ours.get(status, 0) + count
            buckets = self._seconds.setdefault(endpoint, Buckets(REQUEST_BOUNDS_S))
            buckets.merge(seconds[endpoint].counts, seconds[endpoint].sum)

    async def keep_telling(self, link: Link) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            await self.tell(link)


def _maps(seconds: dict[str, Buckets]) -> dict[str, Any]:
    return {endpoint: {"counts": buckets.counts, "sum": buckets.sum} for endpoint, buckets in seconds.items()}

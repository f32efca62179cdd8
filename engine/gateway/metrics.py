"""`/metrics`: what the daemon measures, as Prometheus reads it."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder

from engine.errors import EngineError
from engine.gateway.asgi import answer
from engine.gateway.control import bearer, client_of
from engine.gateway.refusals import WrongMethod, refuse
from engine.metrics import METRICS, PREFIX
from engine.session import NO_ONE_ELSE, OnBehalf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from prometheus_client.registry import CollectorRegistry

    from engine.gateway.asgi import Receive, Scope, Send
    from engine.gateway.link import Link
    from engine.gateway.measuring import Requests


class Metrics:
    """Answers scrapes."""

    def __init__(self, link: Link, requests: Requests, *, is_open: bool) -> None:
        """With `is_open` whoever reaches this port may read; else the token that is shown must allow it."""
        self._link = link
        self._requests = requests
        self._is_open = is_open
        self._turn = asyncio.Lock()
        """One scrape at a time: adding up costs the daemon some milliseconds, and perhaps anybody may ask."""

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One request."""
        headers = dict(scope["headers"])
        try:
            if scope["method"] != "GET":
                raise WrongMethod(
                    f"{scope['method']} isn't answered here", remedy="use GET", data={"allowed": ["GET"]}
                )
            whose = NO_ONE_ELSE if self._is_open else OnBehalf(bearer(headers), client_of(scope))
            async with self._turn:
                await self._requests.tell(self._link)
                samples = await self._link.calls.call_for(whose, "metrics", {})
        except EngineError as error:
            await refuse(send, error)
            return
        encode, content_type = choose_encoder(headers.get(b"accept", b"").decode("latin-1"))
        text = encode(cast("CollectorRegistry", _Collected(samples)))
        await answer(send, 200, text, [(b"content-type", content_type.encode())])


class _Collected:
    """Samples as prometheus_client's families; it asks for nothing but `collect`."""

    def __init__(self, samples: dict[str, list[dict[str, Any]]]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        """A family a name."""
        for name, samples in self._samples.items():
            about = METRICS[name]
            arguments = (f"{PREFIX}{name}", about.meaning)
            if about.kind == "histogram":
                histogram = HistogramMetricFamily(*arguments, labels=about.labels)
                for sample in samples:
                    histogram.add_metric(_values(about.labels, sample), *_buckets(sample))
                yield histogram
            else:
                kind = CounterMetricFamily if about.kind == "counter" else GaugeMetricFamily
                family = kind(*arguments, labels=about.labels)
                for sample in samples:
                    family.add_metric(_values(about.labels, sample), sample["value"])
                yield family


def _values(labels: tuple[str, ...], sample: dict[str, Any]) -> list[str]:
    return [sample["labels"][label] for label in labels]


def _buckets(sample: dict[str, Any]) -> tuple[list[tuple[str, float]], float]:
    """(upper bound, how many up to it) each, and the sum."""
    bounds = [*map(str, sample["bounds"]), "+Inf"]
    return list(zip(bounds, accumulate(sample["counts"]), strict=True)), sample["sum"]

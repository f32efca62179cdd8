"""`fetch`: handlers that POST their event to an API on loopback, against aiohttp alone in the same run.

The API is a process of its own, as the daemon, its egress and its workers are: all share the machine's cores. At 50 ms
an answer and 64 requests a destination at once, no destination can make more than 1,280 calls a second; so four are loaded.
`dead_host` loads one beside a second whose host never answers, in interleaved pairs, and is a ratio.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import statistics
import threading
import time
from typing import Any, Final

import aiohttp
import uvloop

from benchmarks.harness import daemon, in_turns, reference_events
from benchmarks.suite.program import Conditions, Measure, Program
from benchmarks.upstream import running
from engine.client import Client
from engine.egress import fetching, upstream
from engine.egress.destinations import Table
from engine.egress.rules import Rules, parse_pattern
from engine.egress.trace import Trace
from engine.events import encode_events
from sandbox import fetch_wire

ASYNC: Final = """
async def on_track(event, settings):
    answer = await fetch(settings.url, "POST", json=event)
    if answer.status != 200:
        raise ValueError(answer.status)
"""
DEF: Final = ASYNC.replace("async def", "def").replace("await ", "")
CONCURRENT: Final = 64
PAIRS: Final = 7
DESTINATIONS: Final = 10_000
LOADS: Final = (
    ("fetch_async_now", ASYNC, "/now", 1, 12_000, CONCURRENT),
    ("fetch_async_50ms", ASYNC, "/later", 4, 12_000, CONCURRENT),
    ("fetch_def_now", DEF, "/now", 1, 3_000, 16),
    ("fetch_def_50ms", DEF, "/later", 1, 2_000, 32),
)
"""Figure, code, path, destinations, events, and how many requests of a destination at once."""


def run(conditions: Conditions) -> dict[str, float]:
    """Deliveries a second, and what a dead host costs those beside it."""
    small = conditions.is_smoke
    with running() as base:
        seen = {"fetch_aiohttp_alone": uvloop.run(_alone(f"{base}/now", 128 if small else 8_000))}
        for name, source, path, names, count, concurrency in LOADS:
            events = names * 100 if small else count
            seen[name] = _rate(source, base + path, names, events, concurrency)
        seen["fetch_beside_dead_host"] = _beside_dead_host(
            f"{base}/now", *((1, 100) if small else (PAIRS, 4_000))
        )
        seen["fetch_connections_left"] = uvloop.run(_many(f"{base}/now", 100 if small else DESTINATIONS))
    return seen


async def _alone(url: str, count: int) -> float:
    body = reference_json()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def some(number: int) -> None:
            for _ in range(number):
                async with session.post(
                    url, data=body, headers={"Content-Type": "application/json"}
                ) as response:
                    await response.read()

        await asyncio.gather(*(some(20) for _ in range(CONCURRENT)))
        begun = time.perf_counter()
        await asyncio.gather(*(some(count // CONCURRENT) for _ in range(CONCURRENT)))
        return count // CONCURRENT * CONCURRENT / (time.perf_counter() - begun)


def reference_json() -> bytes:
    """The reference event, as a handler sends it."""
    return json.dumps(reference_events(1)[0], separators=(",", ":")).encode()


def _rate(source: str, url: str, names: int, count: int, concurrency: int) -> float:
    with daemon("--allow", "127.0.0.1:*") as (client, _):
        for at in range(names):
            client.deploy(f"api{at}", source, settings={"url": url}, limits={"concurrency": concurrency})
        _load(client, names, max(count // 5, names * 100))
        return _load(client, names, count)


def _load(client: Client, names: int, count: int) -> float:
    """Submit to all destinations at once; deliveries a second."""
    columns = encode_events(reference_events(100))
    delivered = [0] * names

    def submit(at: int) -> None:
        with Client(client.path) as own:
            for result in own.submit_many(
                f"api{at}", (columns for _ in range(count // names // 100)), wait=True, dedupe=False
            ):
                delivered[at] += result.delivered

    threads = [threading.Thread(target=submit, args=(at,)) for at in range(names)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed_s = time.perf_counter() - begun
    if sum(delivered) != count // names // 100 * 100 * names:
        raise RuntimeError(f"{sum(delivered)} of {count} events were delivered")
    return sum(delivered) / elapsed_s


def _beside_dead_host(url: str, pairs: int, count: int) -> float:
    """With against without a destination beside it whose host never answers: the median pair."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1024) as dead,
        daemon("--allow", "127.0.0.1:*") as (client, _),
    ):
        limits = {"concurrency": CONCURRENT, "timeout_ms": 1_000}
        client.deploy("api0", ASYNC, settings={"url": url}, limits=limits)
        client.deploy(
            "dead", ASYNC, settings={"url": f"http://127.0.0.1:{dead.getsockname()[1]}/"}, limits=limits
        )
        _load(client, 1, max(count // 2, 100))

        def beside() -> float:
            client.submit("dead", reference_events(CONCURRENT), dedupe=False)
            return _load(client, 1, count)

        seen = in_turns(pairs, lambda: _load(client, 1, count), beside)
        client.remove("dead", discard=True)
    return statistics.median(with_it / without for without, with_it in seen)


class _Nowhere:
    """Takes a response and keeps nothing."""

    async def piece(self, head: Any, data: bytes, *, is_last: bool) -> None:
        """A piece."""


async def _many(url: str, count: int) -> float:
    """Connections that so many destinations with one fetch each leave open."""
    table = Table(find=_nothing, tls=ssl.create_default_context())
    rules = Rules((parse_pattern("127.0.0.1:*"),))

    async def one(number: int) -> None:
        destination = table.get(number)
        destination.rules, destination.timeout_ms = rules, 30_000
        frame = fetch_wire.Fetch(1, 1, "GET", url, b"", b"", 30_000, 0)
        await fetching.perform(frame, [], destination, Trace(1, 0, "", "", [], b"", 0), _Nowhere())

    for start in range(0, count, 100):
        await asyncio.gather(*(one(number) for number in range(start, start + 100)))
    left = table.pool.open
    if left > upstream.CONNECTIONS_MAX:
        raise RuntimeError(f"{left} connections are left open")
    await table.close()
    return float(left)


async def _nothing(_host: str, _port: int) -> list[tuple[int, str]]:
    return []


PROGRAM: Final = Program(
    (
        Measure("fetch_aiohttp_alone", "requests/s"),
        *(Measure(name, "events/s", baseline="fetch_aiohttp_alone") for name, *_ in LOADS),
        Measure("fetch_beside_dead_host", "of without"),
        Measure("fetch_connections_left", "connections", "less"),
    ),
    run,
    warm_up="a fifth of the events",
)

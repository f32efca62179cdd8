"""Client libraries, unmodified but for the host: what they believe is sent has been accepted, once.

Each test lets all of them send at the same time.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from clients import KINDS, NODE, PYTHON, WITHOUT_GZIP, send, why_not
from gateways import HttpDaemon, OwnGateway, SentFrom, ask, is_ready
from running import new_id, wait_until
from upstreams import Server, reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FITTING_BATCH = dict(zip((*PYTHON, *NODE), (100, 100, 20, 15, 20), strict=True))
"""Some divide by bytes, some by number alone."""
HERE = [library for library in (*PYTHON, *NODE) if not why_not(library)]


@pytest.mark.parametrize("library", [*PYTHON, *NODE])
def test_the_library_takes_part(library: str) -> None:
    if reason := why_not(library):
        pytest.skip(reason)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpDaemon]:
    daemon = HttpDaemon(tmp_path_factory.mktemp("clients"))
    daemon.start("--allow", "127.0.0.1:*")
    wait_until(lambda: is_ready(daemon.http))
    yield daemon
    daemon.stop()


@pytest.fixture
def source(served: HttpDaemon) -> Iterator[SentFrom]:
    """A source whose only destination is paused: what is accepted can be counted there."""
    with served.client() as client:
        source = SentFrom(served, client, new_id())
        client.deploy(source.name, "def on_track(event, settings): pass", sources=[source.name])
        client.pause(source.name)
        yield source


def accepted(source: SentFrom) -> Counter[str]:
    waiting = source.client.deliveries(source.name, state="waiting")
    return Counter(delivery["event"]["messageId"] for delivery in waiting)


def ids(library: str, count: int) -> list[str]:
    return [f"{library} {new_id()}" for _ in range(count)]


def test_every_type_of_call_arrives_with_and_without_gzip(source: SentFrom) -> None:
    running = [
        send(library, source.daemon.url, source.key, ids(library, 12), gzip=gzip)
        for library in HERE
        for gzip in ((False,) if library in WITHOUT_GZIP else (False, True))
    ]
    for each in running:
        assert each.report()["failed"] == [], each.library
    expected = [id_ for each in running for id_ in each.ids]
    assert accepted(source) == Counter(expected)
    arrived = {delivery["event"]["messageId"]: delivery["event"] for delivery in
               source.client.deliveries(source.name, state="waiting")}  # fmt: skip
    for each in running:
        for at, id_ in enumerate(each.ids):
            event = arrived[id_]
            assert (event["type"], event["userId"]) == (KINDS[at % len(KINDS)], f"user {at}")
            assert event.keys() >= {"receivedAt", "timestamp", "originalTimestamp", "context"}
            # Their clock is ours: what was waited there is all that is corrected.
            assert event["timestamp"] <= event["receivedAt"], each.library


def test_more_than_a_batch_holds_is_sent_in_several_by_the_library_or_given_up(source: SentFrom) -> None:
    # 600 KB in events of 20.
    large = [
        send(
            library,
            source.daemon.url,
            source.key,
            ids(library, 30),
            batch=FITTING_BATCH[library],
            kinds=("track",),
            pad="x" * 20_000,
        )
        for library in HERE
    ]
    for each in large:
        assert each.report()["failed"] == [], each.library
    assert accepted(source) == Counter(id_ for each in large for id_ in each.ids)
    # One library divides by nothing but the number that it is told.
    careless = send(
        "rudder-sdk-python",
        source.daemon.url,
        source.key,
        ids("rudder", 40),
        batch=100,
        interval_ms=1_000,
        kinds=("track",),
        pad="x" * 20_000,
    )
    report = careless.report()
    assert set(accepted(source)) & set(careless.ids) == set(report["sent"])
    assert report["failed"]


def test_a_429_is_sent_again(served: HttpDaemon, source: SentFrom, tmp_path: Path) -> None:
    gateway = OwnGateway(tmp_path, served.socket, "127.0.0.1:0", "--requests-per-s", "1")
    own = [SentFrom(served, source.client, new_id()) for _ in HERE]  # each has a rate of its own
    source.client.destinations.update(source.name, sources=[each.name for each in own])
    running = [
        send(library, f"http://{gateway.http}", each.key, ids(library, 10), batch=5)
        for library, each in zip(HERE, own, strict=True)
    ]
    for each in running:
        assert each.report()["failed"] == [], each.library
    assert accepted(source) == Counter(id_ for each in running for id_ in each.ids)
    assert gateway.stop() == 0


class Witness:
    """An API that functions call for each event: when it saw which."""

    def __init__(self) -> None:
        self.server = Server({"/": reply()})

    def seen(self) -> dict[str, list[float]]:
        seen: dict[str, list[float]] = {}
        for request in list(self.server.requests):
            seen.setdefault(json.loads(request.body), []).append(request.at)
        return seen


def deploy_witnessed(source: SentFrom, witness: Witness) -> None:
    code = "\n".join(
        f"async def on_{kind}(event, settings):\n"
        "    await fetch(settings.url, 'POST', json=event['messageId'])"
        for kind in KINDS
    )
    settings = {"url": witness.server.url()}
    source.client.deploy("witnessed", code, settings=settings, sources=[source.name])


@pytest.fixture
def own(tmp_path: Path) -> Iterator[HttpDaemon]:
    """A daemon that the test may kill; it ends whatever becomes of the test."""
    daemon = HttpDaemon(tmp_path)
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.stop()


def test_a_daemon_that_is_killed_and_started_again_loses_nothing_that_was_sent(
    own: HttpDaemon, tmp_path: Path
) -> None:
    witness, daemon = Witness(), own
    daemon.start("--allow", "127.0.0.1:*")
    # One gateway ends with its daemon and comes back with it; the other stays, and answers 503 meanwhile.
    staying = OwnGateway(tmp_path, daemon.socket)
    wait_until(lambda: is_ready(daemon.http) and is_ready(staying.http))
    with daemon.client() as client:
        source = SentFrom(daemon, client, "web")
        deploy_witnessed(source, witness)
    running = [
        send(library, f"http://{http}", source.key, ids(library, 60), batch=5, interval_ms=50, pause_ms=25)
        for library in HERE
        for http in (daemon.http, staying.http)
    ]
    wait_until(lambda: len(witness.server.requests) > 10 * len(running), 30)
    killed_at = time.monotonic()
    daemon.kill()
    wait_until(lambda: ask(staying.http, "POST", "/v1/track", "{}", {})[0] == 503)
    daemon.start("--allow", "127.0.0.1:*")
    sent = [id_ for each in running for id_ in each.report()["sent"]]
    assert len(sent) == 60 * len(running)  # their patience was enough
    wait_until(lambda: witness.seen().keys() >= set(sent), 20)
    with daemon.client() as client:
        wait_until(lambda: client.show("witnessed")["stored"] == 0)
    seen = witness.seen()
    assert seen.keys() == set(sent)
    again = [times for times in seen.values() if len(times) > 1]
    # What was in flight when it was killed ran before, and once more after.
    assert all(len(times) == 2 and times[0] <= killed_at + 0.1 < times[1] for times in again)
    assert len(again) < 100
    assert (staying.stop(), daemon.stop()) == (0, 0)
    witness.server.close()

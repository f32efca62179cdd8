"""A zygote is replaced while work goes on: nothing is lost, nothing fails, nobody waits."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from running import Daemon, launchers_of, new_id, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.client import Client

SPINS = "def on_track(event, settings):\n    return sum(range(2000))\n"
WAITS = "import asyncio\nasync def on_track(event, settings):\n    await asyncio.sleep(0.002)\n"
HASHES = "def on_track(event, settings):\n    return hash('the seed of this process')\n"
LATENCY_S_MAX = 5.0
"""Generous, for a busy machine: it bounds a pause, it doesn't measure one."""


def events(count: int) -> list[dict[str, Any]]:
    return [{"type": "track", "messageId": new_id(), "userId": "u", "event": "x"} for _ in range(count)]


def submitter(client: Client, name: str, until: threading.Event, results: list[tuple[float, Any]]) -> None:
    while not until.is_set():
        begun = time.monotonic()
        result = client.submit(name, events(20), wait=True)
        results.append((time.monotonic() - begun, result.by_code))


def zygote_of(daemon: Daemon, before: psutil.Process | None = None) -> psutil.Process:
    """The only one, once there is only one, and it isn't the one before."""

    def only() -> psutil.Process | None:
        try:
            found = [zygote for launcher in launchers_of(daemon) for zygote in launcher.children()]
        except psutil.NoSuchProcess:
            return None
        return found[0] if len(found) == 1 and found[0] != before else None

    process: psutil.Process = wait_until(only, 30)
    return process


def hash_in_a_spare(client: Client) -> int:
    (result,) = client.test(HASHES, events(1))
    assert result.ok
    return int(result.result)


def use_up(client: Client) -> None:
    """Take spare after spare, so that the zygote forks as often as it may and another takes its place."""
    deadline, before = time.monotonic() + 30, client.stats()["zygotes_replaced"]
    while client.stats()["zygotes_replaced"] == before:
        assert time.monotonic() < deadline
        hash_in_a_spare(client)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("worn"))
    config = daemon.folder / "engine.toml"
    config.write_text("zygote_forks_max = 100\nspares = 2\n")
    daemon.start("--config", str(config))
    yield daemon
    assert daemon.stop() == 0


def test_a_zygote_is_replaced_under_load_without_a_lost_event_or_a_pause(daemon: Daemon) -> None:
    with daemon.client() as client, daemon.client() as spins, daemon.client() as waits:
        client.deploy("spins", SPINS)
        client.deploy("waits", WAITS)
        first = zygote_of(daemon)
        hash_before = hash_in_a_spare(client)
        assert hash_in_a_spare(client) == hash_before, "workers of one zygote share its hash seed"
        until, results = threading.Event(), []
        threads = [
            threading.Thread(target=submitter, args=(own, name, until, results))
            for own, name in ((spins, "spins"), (waits, "waits"))
        ]
        for thread in threads:
            thread.start()
        try:
            use_up(client)
            zygote_of(daemon, first)
        finally:
            until.set()
            for thread in threads:
                thread.join(20)
        assert {code for _, by_code in results for code in by_code} == {"delivered"}
        assert all(sum(by_code.values()) == 20 for _, by_code in results)
        assert max(elapsed for elapsed, _ in results) < LATENCY_S_MAX
        second = zygote_of(daemon, first)
        bound = {row["pid"] for row in client.workers()}
        assert bound <= {child.pid for child in second.children()}
        assert hash_in_a_spare(client) != hash_before, "each zygote has a hash seed of its own"


def test_the_old_zygotes_death_costs_nothing_once_its_workers_have_moved(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.deploy("calm", SPINS)
        assert client.submit("calm", events(5), wait=True).by_code == {"delivered": 5}
        first = zygote_of(daemon)
        use_up(client)
        first.kill()
        assert client.submit("calm", events(5), wait=True).by_code == {"delivered": 5}
        second = zygote_of(daemon, first)
        second.kill()
        assert client.submit("calm", events(5), wait=True).by_code == {"delivered": 5}

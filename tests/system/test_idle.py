"""Workers that have nothing to do, use too much, or are too few."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from neighbour import event
from running import Daemon, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.client import Client

CONFIG = "suspend_after_s = 1\nstop_after_s = 3\nworkers_max = 2\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("idle"))
    config = daemon.folder / "engine.toml"
    config.write_text(CONFIG)
    daemon.start("--config", str(config))
    yield daemon
    assert daemon.stop() == 0


def rows_of(client: Client, name: str) -> list[dict[str, Any]]:
    return [row for row in client.workers() if row["destination"] == name]


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_an_idle_worker_is_suspended_wakes_as_if_new_and_is_stopped(client: Client, keyword: str) -> None:
    wait = "await " if keyword == "async def" else ""
    source = f"""
count = 0

{keyword} on_track(event, settings):
    global count
    count += 1
    n = event["properties"]["n"]
    if (count, {wait}cache.load("n", lambda: n)) != (1, n):
        raise ValueError("something is left of before")
"""
    name = f"idle-{keyword[:5]}"
    client.deploy(name, source)
    assert client.submit(name, [event(1)], wait=True).delivered == 1
    (before,) = rows_of(client, name)
    wait_until(lambda: [row["state"] for row in rows_of(client, name)] == ["suspended"], 15)
    assert client.submit(name, [event(2)], wait=True).by_code == {"delivered": 1}
    (after,) = rows_of(client, name)
    assert after["pid"] == before["pid"]
    wait_until(lambda: not rows_of(client, name), 20)
    assert client.submit(name, [event(3)], wait=True).by_code == {"delivered": 1}
    client.remove(name, discard=True)


def test_a_worker_that_keeps_over_80_percent_is_replaced_and_counted(client: Client) -> None:
    source = "kept = []\ndef on_track(event, settings):\n    kept.append(['x' * 1000 + str(n) for n in range(24000)])\n"
    client.deploy("keeper", source, limits={"memory_mib": 30, "timeout_ms": 20_000})
    recycled = client.stats()["workers_recycled"]
    assert client.submit("keeper", [event(1)], wait=True).by_code == {"delivered": 1}
    wait_until(lambda: client.stats()["workers_recycled"] == recycled + 1, 10)
    assert client.submit("keeper", [event(2)], wait=True).by_code == {"delivered": 1}
    client.remove("keeper", discard=True)


def test_when_slots_are_short_each_destination_gets_a_worker_before_any_gets_a_second(client: Client) -> None:
    sleeps = "import time\ndef on_track(event, settings):\n    time.sleep(0.1)\n"
    for name in ("greedy", "modest"):
        client.deploy(name, sleeps, limits={"concurrency": 4})
    client.submit("greedy", [event(n) for n in range(100)])
    wait_until(lambda: len([row for row in rows_of(client, "greedy") if row["state"] == "busy"]) == 2)
    begun = time.monotonic()
    assert client.submit("modest", [event(1)], wait=True).by_code == {"delivered": 1}
    assert time.monotonic() - begun < 4, "before the greedy one was done, which takes 5 s at least"
    assert client.show("greedy")["by_code"].get("delivered", 0) < 100
    for name in ("greedy", "modest"):
        client.remove(name, discard=True)

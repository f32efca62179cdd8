"""What is stored can be looked at and run again, from the client and from the command line."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from running import wait_until

from engine.client import AsyncClient
from engine.errors import UsageError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from running import Daemon

    from engine.client import Client

    Engine = Callable[..., subprocess.CompletedProcess[str]]

FUNCTION = (
    "def on_track(event, settings):\n"
    "    console.warn('n is', event['n'])\n"
    "    if settings.is_broken: raise [ValueError, ValidationError][event['n'] % 2](event['n'])\n"
)


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"type": "track", "userId": "u", "messageId": f"m{n}", "n": n} for n in range(count)]


def deploy(client: Client, name: str, *, is_broken: bool) -> None:
    client.deploy(name, FUNCTION, settings={"is_broken": is_broken})


@pytest.fixture
def shelved(client: Client, request: pytest.FixtureRequest) -> str:
    """Ten discarded deliveries: five `bad_request`, five `message_rejected`."""
    name = f"shelf-{request.node.name}"
    deploy(client, name, is_broken=True)
    assert client.submit(name, numbered(10), wait=True).by_code == {"bad_request": 5, "message_rejected": 5}
    wait_until(lambda: client.show(name)["shelved"]["discarded"] == 10)
    return name


def test_discarded_deliveries_are_shown_with_event_error_and_console(client: Client, shelved: str) -> None:
    found = list(client.deliveries(shelved))
    assert sorted(item["event"]["n"] for item in found) == list(range(10))
    item = next(item for item in found if item["event"]["n"] == 4)
    assert (item["state"], item["code"], item["attempt"]) == ("discarded", "bad_request", 1)
    assert (item["error"]["type"], item["error"]["message"]) == ("ValueError", "4")
    assert item["logs"] == [{"level": "warn", "message": "n is 4"}]
    assert item["message_id"] == "m4"


def test_filters_choose_by_code_state_time_and_id(client: Client, shelved: str) -> None:
    rejected = list(client.deliveries(shelved, code="message_rejected"))
    assert {item["event"]["n"] for item in rejected} == {1, 3, 5, 7, 9}
    assert list(client.deliveries(shelved, state="dead")) == []
    assert list(client.deliveries(shelved, until_ms=1_000)) == []
    assert len(list(client.deliveries(shelved, since_ms=1_000))) == 10
    (one,) = client.deliveries(shelved, id=rejected[0]["id"])
    assert one["id"] == rejected[0]["id"]
    with pytest.raises(UsageError):
        list(client.deliveries(shelved, id="nonsense"))


def test_a_replay_runs_what_was_chosen_once_and_the_rest_stays(client: Client, shelved: str) -> None:
    deploy(client, shelved, is_broken=False)
    assert list(client.replay(shelved, code="bad_request", dry_run=True))[-1]["replayed"] == 5
    assert client.show(shelved)["shelved"]["discarded"] == 10
    assert list(client.replay(shelved, code="bad_request", limit=2))[-1] == {
        "replayed": 2,
        "is_done": True,
        "dry_run": False,
    }
    assert list(client.replay(shelved, code="bad_request"))[-1]["replayed"] == 3
    assert list(client.replay(shelved, code="bad_request"))[-1]["replayed"] == 0
    wait_until(lambda: client.show(shelved)["by_code"].get("delivered") == 5)
    assert client.show(shelved)["shelved"]["discarded"] == 5
    (one, *_) = client.deliveries(shelved)
    assert list(client.replay(shelved, id=one["id"]))[-1]["replayed"] == 1
    wait_until(lambda: client.show(shelved)["by_code"].get("delivered") == 6)


def test_what_fails_again_is_not_replayed_without_end(client: Client, shelved: str) -> None:
    assert list(client.replay(shelved))[-1]["replayed"] == 10
    wait_until(lambda: client.show(shelved)["shelved"]["discarded"] == 10)


def test_waiting_deliveries_are_shown_with_their_code_and_attempt(client: Client) -> None:
    client.deploy("waits", "def on_track(event):\n    raise RetryError('later', after_ms=60_000)\n")
    client.submit("waits", numbered(3), wait=True)
    wait_until(lambda: len(list(client.deliveries("waits", state="waiting"))) == 3)
    waiting = list(client.deliveries("waits", state="waiting"))
    assert {(item["code"], item["attempt"]) for item in waiting} == {("retry", 2)}
    assert list(client.deliveries("waits", state="running")) == []


def test_the_command_line_shows_and_replays(engine: Engine, client: Client, shelved: str) -> None:
    shown = engine("deliveries", shelved, "--code", "bad_request", "--since", "1h", "--json")
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [row["code"] for row in rows] == ["bad_request"] * 5
    one = engine("deliveries", shelved, "--id", rows[0]["id"])
    assert "ValueError" in one.stdout
    assert '"messageId"' in one.stdout
    assert engine("deliveries", shelved, "--id", "1.9999").returncode == 2
    deploy(client, shelved, is_broken=False)
    assert (
        "5 deliveries would be replayed"
        in engine("replay", shelved, "--code", "bad_request", "--dry-run").stdout
    )
    assert "10 deliveries replayed" in engine("replay", shelved).stdout
    assert engine("deliveries", shelved).stdout == "none\n"


def test_the_async_client_shows_and_replays(daemon: Daemon, client: Client, shelved: str) -> None:
    deploy(client, shelved, is_broken=False)
    asyncio.run(look_and_replay(daemon, shelved))


async def look_and_replay(daemon: Daemon, shelved: str) -> None:
    async with AsyncClient(daemon.socket) as other:
        assert len([item async for item in other.deliveries(shelved)]) == 10
        assert [step["replayed"] async for step in other.replay(shelved, limit=3)] == [3]
        paused = await other.pause(shelved)
        assert paused["state"] == "paused"
        assert (await other.resume(shelved))["state"] == "running"

"""Code that has left the language layer and attacks the kernel puts its destination into quarantine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from running import Daemon, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parent.parent / "unguarded_daemon.py"
ATTACK = "import socket\ndef on_track(event, settings):\n    socket.socket()\n"
ATTACK_WITH_LIBRARY = f"import pydash\n{ATTACK}"
ABORTS = "import os\ndef on_track(event, settings):\n    os.abort()\n"
CALM = "def on_track(event, settings):\n    return 1\n"


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("unguarded"))
    config = daemon.folder / "engine.toml"
    config.write_text('libraries = ["pydash"]\n')
    daemon.start("--config", str(config), program=[str(PROGRAM)])
    yield daemon
    assert daemon.stop() == 0


def events(count: int) -> list[dict[str, Any]]:
    return [{"type": "track", "messageId": str(at), "userId": "u", "event": "x"} for at in range(count)]


def attacks(client: Any) -> int:
    return int(client.stats()["worker_exits"].get("signal 31", 0))


def state(client: Any, name: str) -> str:
    (row,) = [row for row in client.list() if row["name"] == name]
    return str(row["state"])


def test_a_worker_that_the_filter_ends_quarantines_its_destination_and_no_other(unguarded: Daemon) -> None:
    with unguarded.client() as client:
        before = attacks(client)
        client.deploy("attack", ATTACK, limits={"concurrency": 1})
        client.deploy("calm", CALM)
        client.submit("attack", events(3))
        wait_until(lambda: state(client, "attack") == "quarantined", 20)
        assert attacks(client) == before + 1
        assert [
            entry["who"]
            for entry in client.audit()
            if (entry["action"], entry["subject"]) == ("destination.quarantine", "attack")
        ] == ["engine"]
        assert client.submit("calm", events(5), wait=True).by_code == {"delivered": 5}
        assert state(client, "calm") != "quarantined"
        # Accepted, and waiting: nothing of it runs any more.
        assert client.submit("attack", events(6)[3:]).accepted == 3
        assert attacks(client) == before + 1


def test_a_worker_with_libraries_is_no_other(unguarded: Daemon) -> None:
    with unguarded.client() as client:
        client.deploy("with-library", ATTACK_WITH_LIBRARY, limits={"concurrency": 1})
        assert client.functions.show("with-library")["libraries"] == ["pydash"]
        client.submit("with-library", events(1))
        wait_until(lambda: state(client, "with-library") == "quarantined", 20)


def test_a_crash_is_no_attack(unguarded: Daemon) -> None:
    with unguarded.client() as client:
        client.deploy("aborts", ABORTS)
        result = client.submit("aborts", events(1), wait=True)
        assert result.by_code == {"crashed": 1}
        assert state(client, "aborts") != "quarantined"

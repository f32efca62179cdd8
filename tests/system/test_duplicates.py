"""Events that come again, from a client to the counters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from running import new_id

from engine.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

    from running import Daemon

    from engine.client import Client

COUNTS = "def on_track(event, settings):\n    return 1\n"


def event(message_id: str | None, **fields: Any) -> dict[str, Any]:
    named = {} if message_id is None else {"messageId": message_id}
    return {"type": "track", "userId": "u", "event": "x", **named, **fields}


def test_an_event_that_comes_again_is_acknowledged_counted_and_not_delivered(own_daemon: Daemon) -> None:
    first, second = new_id(), new_id()
    own_daemon.start()
    with own_daemon.client() as client:
        client.deploy("once", COUNTS)
        client.deploy("other", COUNTS)
        result = client.submit("once", [event(first), event(second), event(first)], wait=True)
        assert (result.accepted, result.delivered, result.duplicates) == (2, 2, 1)
        result = client.submit("once", [event(second), event(None), event(None)], wait=True)
        assert (result.accepted, result.delivered, result.duplicates) == (2, 2, 1)
        result = client.submit("once", [event(first), event(second)], wait=True)
        assert (result.accepted, result.by_code, result.duplicates) == (0, {}, 2)
        assert client.submit("other", [event(first)], wait=True).delivered == 1
        assert client.submit("once", [event(first)], wait=True, dedupe=False).delivered == 1
        assert client.stats()["journal"]["duplicates"] == 4
    own_daemon.kill()
    own_daemon.start()
    with own_daemon.client() as client:
        result = client.submit("once", [event(first), event(new_id())], wait=True)
        assert (result.accepted, result.delivered, result.duplicates) == (1, 1, 1)
        client.remove("once", discard=True)
        client.deploy("once", COUNTS)
        assert client.submit("once", [event(first)], wait=True).delivered == 1, "another destination"
    assert own_daemon.stop() == 0


def test_submits_that_arrive_together_learn_each_its_own_duplicates(client: Client) -> None:
    client.deploy("together", COUNTS)
    ids = [new_id() for _ in range(50)]
    batches = [[event(ids[at % 50]), event(new_id()), event(ids[at % 50])] for at in range(100)]
    results = list(client.submit_many("together", batches, wait=True))
    assert {(result.accepted, result.delivered, result.duplicates) for result in results[:50]} == {(2, 2, 1)}
    assert {(result.accepted, result.delivered, result.duplicates) for result in results[50:]} == {(1, 1, 2)}
    singles = [[event(one)] for one in (*ids, new_id())]
    results = list(client.submit_many("together", singles, wait=True))
    assert [result.duplicates for result in results] == [1] * 50 + [0]
    mixed = list(client.submit_many("together", singles, wait=True, dedupe=False))
    assert {result.delivered for result in mixed} == {1}


def test_the_command_says_how_many_were_duplicates(daemon: Daemon, client: Client, tmp_path: Path) -> None:
    client.deploy("typed", COUNTS)
    file = tmp_path / "events.json"
    file.write_text(json.dumps([event("a"), event("a"), event("b")]))
    runner = CliRunner(env={"ENGINE_SOCKET": str(daemon.socket)})
    first = runner.invoke(cli, ["submit", "typed", str(file), "--wait"], standalone_mode=False)
    assert "accepted 2 events" in first.output
    assert "1 duplicates, accepted before: not delivered" in first.output
    again = runner.invoke(cli, ["submit", "typed", str(file), "--json"], standalone_mode=False)
    shown = json.loads(again.output)
    assert (shown["accepted"], shown["duplicates"]) == (0, 3)
    bypassed = runner.invoke(
        cli, ["submit", "typed", str(file), "--no-dedupe", "--json"], standalone_mode=False
    )
    assert json.loads(bypassed.output)["accepted"] == 3

"""From a source to its destinations, through a real daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from running import wait_until

from engine.errors import Conflict, InvalidEvent, NotFound
from engine.events import encode_events

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from running import Daemon

    from engine.client import Client, SubmitResult

    Engine = Callable[..., subprocess.CompletedProcess[str]]

KEEPS = "def on_track(event):\n    pass\ndef on_page(event):\n    pass\n"


def track(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": f"m{number}", "userId": "u", "event": "x", **more}


def send(client: Client, source: str, *events: dict[str, Any], dedupe: bool = True) -> SubmitResult:
    return client.submit(source, list(events), wait=True, to_source=True, dedupe=dedupe)


def connect(client: Client, source: str, **filters: str) -> None:
    client.sources.create(source)
    for name, text in filters.items():
        client.deploy(f"{source}-{name}", KEEPS, filter=text, sources=[source])


def by_code(client: Client, name: str) -> dict[str, int]:
    counts: dict[str, int] = client.show(name)["by_code"]
    return counts


def test_events_fan_out_to_what_is_connected_enabled_and_wanted(client: Client) -> None:
    connect(client, "web", all="", pages='type = "page"', rich="properties.total > 100", off="")
    client.destinations.update("web-off", enabled=False)
    result = send(
        client,
        "web",
        track(1, properties={"total": 500}),
        track(2, properties={"total": 5}),
        {"type": "page", "messageId": "m3"},
        track(4, integrations={"All": False, "web-all (main)": True}),
        track(5, integrations={"web-all": False}),
    )
    assert (result.accepted, result.duplicates) == (5, 0)
    assert result.first_errors == {}  # filtered isn't an error
    assert by_code(client, "web-all") == {"delivered": 4}
    assert by_code(client, "web-pages") == {"delivered": 1, "filtered": 3}
    assert by_code(client, "web-rich") == {"delivered": 1, "filtered": 3}
    assert by_code(client, "web-off") == {}
    assert result.by_code == {"delivered": 6, "filtered": 6}
    with pytest.raises(Conflict, match="disabled"):
        client.submit("web-off", [track(9)])


def test_duplicates_are_found_at_the_source_for_all_destinations(client: Client) -> None:
    connect(client, "dup", a="", b='type = "track"', c="exists properties")
    first = send(client, "dup", *[track(at) for at in range(250)])
    assert (first.accepted, first.duplicates) == (250, 0)
    again = send(client, "dup", *[track(at) for at in range(200, 300)], {"type": "page", "messageId": "m0"})
    assert (again.accepted, again.duplicates) == (50, 51)
    assert by_code(client, "dup-a") == {"delivered": 300}
    assert by_code(client, "dup-b") == {"delivered": 300, "filtered": 1}
    assert by_code(client, "dup-c") == {"filtered": 300}
    assert client.submit("dup-a", [track(0)], wait=True).by_code == {"delivered": 1}, (
        "addressed directly it is new"
    )
    assert send(client, "dup", track(0), dedupe=False).duplicates == 0


def test_a_full_destination_delays_none_beside_it(client: Client) -> None:
    client.sources.create("shared")
    client.deploy("shared-full", KEEPS, limits={"queue_events": 30}, sources=["shared"])
    client.deploy("shared-free", KEEPS, sources=["shared"])
    client.pause("shared-full")
    client.submit("shared", [track(at) for at in range(100)], to_source=True)
    wait_until(lambda: by_code(client, "shared-free") == {"delivered": 100})
    shown = client.show("shared-full")
    assert shown["stored"] == 30
    assert shown["shelved"]["dead"] == 70
    assert shown["by_code"] == {"overflow": 70}
    client.resume("shared-full")
    wait_until(lambda: by_code(client, "shared-full").get("delivered") == 30)


def test_a_source_that_feeds_nobody_takes_events_all_the_same(client: Client) -> None:
    client.sources.create("lonely")
    result = send(client, "lonely", track(1))
    assert (result.accepted, result.by_code) == (1, {})
    with pytest.raises(NotFound, match="no source named 'nobody'"):
        send(client, "nobody", track(1))


def test_a_connection_holds_from_the_next_event_on(client: Client) -> None:
    connect(client, "turn", a="")
    client.destinations.update("turn-a", sources=[])
    assert send(client, "turn", track(1)).by_code == {}
    client.destinations.update("turn-a", sources=["turn"])
    assert send(client, "turn", track(2)).by_code == {"delivered": 1}
    client.sources.remove("turn")
    with pytest.raises(NotFound):
        send(client, "turn", track(3))
    assert client.submit("turn-a", [track(3)], wait=True).by_code == {"delivered": 1}


def test_connecting_a_source_costs_a_destination_no_worker(client: Client) -> None:
    client.sources.create("late")
    source = "SETTINGS = [{'label': 'Key', 'sensitive': True}]\n" + KEEPS
    client.deploy("late-a", source, settings={"key": "a secret of it"})
    client.submit("late-a", [track(1)], wait=True)

    def workers() -> list[int]:
        return [row["id"] for row in client.workers() if row["destination"] == "late-a"]

    before = workers()
    client.destinations.update("late-a", sources=["late"])
    assert send(client, "late", track(2)).by_code == {"delivered": 1}
    assert workers() == before != []
    client.destinations.update("late-a", settings={"key": "another one"})
    assert send(client, "late", track(3)).by_code == {"delivered": 1}
    assert workers() != before


def test_an_integrations_header_that_can_not_be_read_is_refused(client: Client) -> None:
    connect(client, "torn", a="")
    events = encode_events([track(1)])._replace(integrations={0: b"\xc1"})
    with pytest.raises(InvalidEvent, match="integrations header"):
        client.submit("torn", events, to_source=True)


def test_a_write_key_never_reaches_a_handler(client: Client) -> None:
    client.sources.create("keyed")
    source = "def on_track(event):\n    if 'writeKey' in str(event): raise ValidationError('seen')\n"
    client.deploy("keyed-a", source, sources=["keyed"])
    assert send(client, "keyed", track(1, writeKey="abc")).by_code == {"delivered": 1}


def test_a_fan_out_survives_a_kill(own_daemon: Daemon) -> None:
    own_daemon.start()
    with own_daemon.client() as client:
        connect(client, "web", a="", b="")
        client.pause("web-a")
        client.pause("web-b")
        client.submit("web", [track(at) for at in range(500)], to_source=True)
    own_daemon.kill()
    own_daemon.start()
    with own_daemon.client() as client:
        assert send(client, "web", track(0)).duplicates == 1
        for name in ("web-a", "web-b"):
            assert client.show(name)["stored"] == 500
            client.resume(name)
            wait_until(lambda name=name: by_code(client, name) == {"delivered": 500})


def test_the_last_events_of_a_source_try_a_function(engine: Engine, tmp_path: Path) -> None:
    assert engine("source", "create", "recent", "--samples", "2").returncode == 0
    lines = [json.dumps(track(at, properties={"n": at})) for at in range(5)]
    done = engine("submit", "--source", "recent", "--json", stdin="\n".join(lines))
    assert json.loads(done.stdout)["accepted"] == 5
    (tmp_path / "f.py").write_text("def on_track(event):\n    return event['properties']['n']\n")
    done = engine("test", str(tmp_path / "f.py"), "--from", "recent", "--json")
    assert [result["result"] for result in json.loads(done.stdout)["results"]] == ["3", "4"]
    engine("source", "update", "recent", "--samples", "0")
    done = engine("test", str(tmp_path / "f.py"), "--from", "recent")
    assert done.returncode == 2
    assert "has sent nothing lately" in done.stderr


def test_submit_tells_what_it_wants(engine: Engine) -> None:
    for arguments in ([], ["--source", "a", "b", "c"], ["a", "b", "c"]):
        done = engine("submit", *arguments)
        assert done.returncode == 2
        assert "--source" in done.stderr

"""What a real daemon says of what happened: health, logs and counters, also after a restart and without its records."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from running import Daemon, wait_until

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.client import Client

MIXED = """
from engine.function import RetryError, console

def on_track(event, settings):
    console.log("seen", event["n"])
    if event["n"] % 4 == 1:
        raise ValueError(f"odd {event['n']}")
    if event["n"] % 4 == 3:
        raise RetryError("later", after_ms=3_600_000)
"""
WELL = "def on_track(event, settings): pass\n"


def events(count: int) -> list[dict[str, Any]]:
    return [{"type": "track", "event": "x", "userId": "u", "n": n} for n in range(count)]


def test_health_counts_what_was_delivered_and_what_failed(client: Client, engine: Any) -> None:
    client.deploy("half", MIXED)
    client.deploy("well", WELL)
    client.submit("half", events(100), wait=True)
    client.submit("well", events(100), wait=True)
    rows = {row["name"]: row for row in client.health()}
    well, half = rows["well"], rows["half"]
    assert (well["is_failing"], well["delivered"], well["failed"], well["warnings"]) == (False, 100, 0, [])
    assert (half["is_failing"], half["delivered"], half["failed"], half["retried"]) == (True, 50, 50, 25)
    assert (half["retrying"], well["retrying"], well["dead_from"]) == (25, 0, None)
    assert "25 deliveries are tried again; if they go on failing, the first is dead at" in half["warnings"][0]
    assert 0 <= well["p50_ms"] <= well["p95_ms"] <= well["p99_ms"] < 10_000
    assert well["delivered_per_s"]["1h"] == pytest.approx(100 / 3600, abs=0.001)
    failing, fine = engine("health"), engine("health", "well")
    assert (failing.returncode, fine.returncode) == (1, 0)
    assert "30d" in fine.stdout
    assert json.loads(engine("health", "half", "--json").stdout)[0]["windows"]["1d"]["by_code"] == {
        "delivered": 50,
        "bad_request": 25,
        "retry": 25,
    }
    again = [{**event, "messageId": "once"} for event in events(3)]
    assert client.submit("well", again, wait=True).duplicates == client.show("well")["duplicates"] == 2
    missing = engine("health", "nobody")
    assert missing.returncode == 2
    assert "there is no destination named 'nobody'" in missing.stderr


def test_logs_are_chosen_by_code_time_and_number(client: Client, engine: Any) -> None:
    client.deploy(
        "chosen", MIXED, limits={"concurrency": 1}
    )  # so that they end in the order of their numbers
    client.submit("chosen", events(20), wait=True)
    assert [line["error"]["message"] for line in client.logs("chosen", code="bad_request", limit=2)] == [
        "odd 13",
        "odd 17",
    ]
    assert list(client.logs("chosen", since_ms=4_000_000_000_000)) == []
    lines = [
        json.loads(line)
        for line in engine("logs", "chosen", "--since", "1h", "--code", "retry", "--json").stdout.splitlines()
    ]
    assert [(line["code"], line["logs"][0]["message"]) for line in lines] == [
        ("retry", f"seen {n}") for n in (3, 7, 11, 15, 19)
    ]
    assert engine("logs", "chosen", "--limit", "1").stdout.count("bad_request") == 0
    wrong = engine("logs", "chosen", "--code", "nonsense")
    assert wrong.returncode == 2
    assert "'nonsense' is not one of 'delivered', 'bad_request'" in wrong.stderr
    with pytest.raises(UsageError, match="limit"):
        list(client.logs("chosen", limit=1_000_000))


def test_a_delivery_is_shown_with_every_attempt_that_failed(client: Client, engine: Any) -> None:
    client.deploy(
        "again",
        "def on_track(event, settings):\n    print('hi')\n    raise RetryError('no', after_ms=10)\n",
        limits={"retry_first_ms": 10},
    )
    client.submit("again", events(1), wait=True)
    wait_until(lambda: client.show("again")["retried"] >= 3)
    delivery = next(client.logs("again"))["delivery"]
    [shown] = client.deliveries("again", id=delivery)
    assert [attempt["attempt"] for attempt in shown["attempts"]][:3] == [1, 2, 3]
    assert shown["attempts"][0]["error"]["message"] == "no"
    text = engine("deliveries", "again", "--id", delivery).stdout
    assert f"{delivery} track #2 retry line 3 RetryError: no\n  info  hi\n" in text


def test_who_follows_sees_every_attempt_with_its_console_lines(daemon: Daemon, client: Client) -> None:
    client.deploy("followed", MIXED, limits={"concurrency": 1})
    client.submit("followed", events(4), wait=True)
    seen: list[dict[str, Any]] = []

    def follow() -> None:
        with daemon.client() as other:
            seen.extend(itertools.islice(other.logs("followed", follow=True), 6))

    follower = threading.Thread(target=follow)
    follower.start()
    wait_until(lambda: len(seen) or client.show("followed")["is_followed"])
    client.submit("followed", events(4), wait=True)
    follower.join(10)
    assert [line["code"] for line in seen] == [
        "bad_request",
        "retry",
        *["delivered", "bad_request", "delivered", "retry"],
    ]
    assert [line["logs"][0]["message"] for line in seen[2:]] == ["seen 0", "seen 1", "seen 2", "seen 3"]
    assert [line["code"] for line in client.logs("followed")] == ["bad_request", "retry"] * 2


def test_counters_and_failures_outlive_a_restart_and_a_lost_file_is_no_reason_not_to_start(
    own_daemon: Daemon,
) -> None:
    own_daemon.start()
    with own_daemon.client() as client:
        client.deploy("kept", MIXED, limits={"concurrency": 1})
        client.submit("kept", events(8), wait=True)
        before = client.health()
    assert own_daemon.stop() == 0
    own_daemon.start()
    with own_daemon.client() as client:
        [row] = client.health()
        assert (row["delivered"], row["failed"]) == (before[0]["delivered"], before[0]["failed"]) == (4, 4)
        assert client.list()[0]["delivered"] == 4
        assert client.show("kept")["today"]["bad_request"] == 2
        assert [line["error"]["line"] for line in client.logs("kept")] == [7, 9, 7, 9]
    assert own_daemon.stop() == 0
    (own_daemon.folder / "records.db").write_bytes(b"\0garbage" * 4096)
    own_daemon.start()
    with own_daemon.client() as client:
        assert client.health()[0]["delivered"] == 0
        assert client.submit("kept", events(1), wait=True).delivered == 1
    assert "records_set_aside" in own_daemon.log.read_text()


def test_what_reads_logs_may_stop_in_the_middle(daemon: Daemon, client: Client) -> None:
    client.deploy("piped", MIXED)
    client.submit("piped", events(400), wait=True)
    reader = f"set -o pipefail; {sys.executable} -m engine logs piped --limit 10000 | head -n 1"
    done = subprocess.run(
        ["bash", "-c", reader],
        capture_output=True,
        text=True,
        check=False,
        env={"ENGINE_SOCKET": str(daemon.socket)},
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)

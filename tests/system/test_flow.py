"""Isolation in flow: paused, broken, limited and batching destinations, through a real daemon."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from running import wait_until

from engine.errors import QueueFull

if TYPE_CHECKING:
    from running import Daemon

    from engine.client import Client

QUICK = "def on_track(event):\n    return 1\n"
BATCH = "def on_batch(events):\n    return [{'status': 200} for e in events]\n"


def events(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"type": "track", "messageId": f"{time.monotonic_ns()}-{at}", "userId": "u", **fields}
        for at in range(count)
    ]


def delivered(client: Client, name: str) -> int:
    return int(client.show(name)["by_code"].get("delivered", 0))


def state_of(client: Client, name: str) -> str:
    return str(client.show(name)["state"])


def test_what_waits_outlives_a_kill_a_pause_lasts_until_it_is_lifted_and_a_stop_closes_a_batch_early(
    own_daemon: Daemon,
) -> None:
    own_daemon.start()
    with own_daemon.client() as client:
        client.deploy("paused", QUICK)
        assert client.pause("paused") == {"name": "paused", "state": "paused", "changed": True}
        assert client.pause("paused")["changed"] is False
        client.submit("paused", events(10))
        client.deploy("early", BATCH, limits={"batch_size": 100, "batch_wait_ms": 60_000})
        client.submit("early", events(7))
    own_daemon.kill()
    own_daemon.start()
    with own_daemon.client() as client:
        assert client.show("early")["stored"] == 7
        client.submit("early", events(5))
        client.submit("paused", events(5))
    assert own_daemon.stop() == 0
    own_daemon.start()
    with own_daemon.client() as client:
        assert client.show("early")["stored"] == 0
        assert (state_of(client, "paused"), client.show("paused")["stored"]) == ("paused", 15)
        assert client.resume("paused")["state"] == "running"
        wait_until(lambda: delivered(client, "paused") == 15)
        assert client.resume("paused")["changed"] is False
    assert own_daemon.stop() == 0


def test_a_pause_stops_the_time_for_retries(client: Client) -> None:
    source = "def on_track(event):\n    raise RetryError('no', after_ms=300)\n"
    client.deploy("stopped-clock", source, limits={"retry_for_s": 1, "retry_first_ms": 10})
    client.submit("stopped-clock", events(1), wait=True)
    client.pause("stopped-clock")
    time.sleep(1.2)  # longer than it would be retried: what is tested is that this time doesn't count
    client.resume("stopped-clock")
    wait_until(lambda: client.show("stopped-clock")["retried"] >= 2)
    wait_until(lambda: client.show("stopped-clock")["shelved"]["dead"] == 1)


def test_what_always_fails_is_stopped_probed_and_let_back(client: Client) -> None:
    source = (
        "def on_track(event, settings):\n    if settings.broken: raise RetryError('down')\n    return 1\n"
    )
    limits = {"retry_first_ms": 100, "retry_cap_ms": 200}
    client.deploy("breaker", source, settings={"broken": True}, limits=limits)
    begun = datetime.now(UTC).isoformat()
    client.submit("breaker", events(300))
    wait_until(lambda: state_of(client, "breaker") == "open" and not client.show("breaker")["in_flight"])
    assert wait_until(lambda: client.show("breaker")["next_probe"]) > begun
    failed = client.show("breaker")["by_code"]["retry"]
    assert failed >= 100
    wait_until(lambda: client.show("breaker")["by_code"]["retry"] > failed)
    assert client.show("breaker")["by_code"]["retry"] < failed + 10  # one delivery a probe
    client.deploy("breaker", source, settings={"broken": False}, limits=limits)
    wait_until(lambda: delivered(client, "breaker") == 300)
    assert state_of(client, "breaker") == "running"


def test_what_recovers_is_probed_and_opens_by_itself(client: Client) -> None:
    source = (
        "calls = []\n"
        "def on_track(event):\n    calls.append(1)\n    if len(calls) <= 100: raise RetryError('down')\n"
    )
    client.deploy("recovers", source, limits={"retry_first_ms": 20, "retry_cap_ms": 50, "concurrency": 1})
    client.submit("recovers", events(60))
    wait_until(lambda: delivered(client, "recovers") == 60)
    assert state_of(client, "recovers") == "running"


def test_a_rate_is_kept_over_several_workers(client: Client) -> None:
    client.deploy("rate", QUICK, limits={"rate_per_s": 100})
    begun = time.monotonic()
    assert client.submit("rate", events(60), wait=True).delivered == 60
    assert 0.45 < time.monotonic() - begun < 5


def test_a_batch_is_mixed_and_in_order_of_acceptance_and_a_retried_event_joins_the_next(
    client: Client,
) -> None:
    source = (
        "seen = []\n"
        "def on_batch(events):\n"
        "    numbers = [e['n'] for e in events]\n"
        "    again = [n for n in numbers if n in seen]\n"
        "    seen.extend(numbers)\n"
        "    if again: raise ValueError(f'{again} of {len(numbers)}')\n"
        "    if numbers != sorted(numbers) or len({e['type'] for e in events}) < 2: raise ValueError(numbers)\n"
        "    return [{'status': 500 if n == 3 else 200} for n in numbers]\n"
    )
    client.deploy(
        "mixed",
        source,
        limits={"batch_size": 10, "batch_wait_ms": 900, "retry_first_ms": 10, "retry_cap_ms": 10},
    )
    mixed = [
        {"type": ("track", "page")[n % 2], "userId": "u", "messageId": f"mixed-{n}", "n": n}
        for n in range(10)
    ]
    assert client.submit("mixed", mixed, wait=True).by_code == {"delivered": 9, "retry": 1}
    more = [{**event, "messageId": f"more-{event['n']}", "n": event["n"] + 10} for event in mixed[:4]]
    result = client.submit("mixed", more, wait=True)
    assert result.first_errors["bad_request"]["message"] == "[3] of 5"


def test_a_type_without_a_handler_of_its_own_is_batched_however_few_there_are(client: Client) -> None:
    client.deploy(
        "few",
        BATCH + "def on_page(event):\n    raise ValueError('single')\n",
        limits={"batch_wait_ms": 1_100},
    )
    assert client.submit("few", events(1), wait=True).by_code == {"delivered": 1}


def test_a_batch_that_kills_its_worker_is_charged_as_one_invocation(client: Client) -> None:
    client.deploy(
        "poison",
        "def on_batch(events):\n    if any(e['n'] == 2 for e in events):\n        while True:\n"
        "            try:\n                while True: pass\n            except BaseException: pass\n",
        limits={
            "batch_size": 4,
            "timeout_ms": 100,
            "retry_first_ms": 10,
            "retry_cap_ms": 10,
            "retry_for_s": 1,
        },
    )
    batch = [{"type": "track", "userId": "u", "messageId": f"poison-{n}", "n": n} for n in range(4)]
    assert client.submit("poison", batch, wait=True).by_code == {"timeout": 4}


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_the_command_line_says_what_state_a_destination_is_in_now(
    client: Client, engine: Any, command: str
) -> None:
    client.deploy("by-hand", QUICK)
    done = engine(command, "by-hand")
    assert (done.returncode, "by-hand is" in done.stdout) == (0, True)
    assert engine(command, "nobody").returncode == 2


def test_a_crowded_destination_leaves_slots_to_those_without_a_worker(own_daemon: Daemon) -> None:
    (own_daemon.folder / "engine.toml").write_text("workers_max = 16\n")
    own_daemon.start("--config", str(own_daemon.folder / "engine.toml"))
    with own_daemon.client() as client:
        client.deploy(
            "greedy",
            "import time\ndef on_track(event):\n    time.sleep(20)\n",
            limits={"concurrency": 100, "timeout_ms": 60_000},
        )
        client.deploy("modest", QUICK)
        client.submit("greedy", events(100))
        wait_until(lambda: client.show("greedy")["workers"] == 15)
        assert client.submit("modest", events(1), wait=True).delivered == 1
        assert client.show("greedy")["workers"] == 15
        client.remove("greedy", discard=True)
    assert own_daemon.stop() == 0


def test_a_full_queue_refuses_what_is_submitted_to_it_and_nothing_else(client: Client) -> None:
    client.deploy("narrow", QUICK, limits={"queue_events": 10})
    client.deploy("beside", QUICK)
    client.pause("narrow")
    client.submit("narrow", events(8))
    with pytest.raises(QueueFull) as refusal:
        client.submit("narrow", events(3))
    assert refusal.value.data["retry_after_ms"] >= 1_000
    assert client.submit("beside", events(3), wait=True).delivered == 3
    client.submit("narrow", events(2))
    client.resume("narrow")
    wait_until(lambda: delivered(client, "narrow") == 10)
    wait_until(lambda: client.show("narrow")["stored"] == 0)
    client.submit("narrow", events(10))


def test_what_an_event_takes_is_its_handlers_time_alone(client: Client) -> None:
    client.deploy(
        "takes", "import time\ndef on_track(event):\n    time.sleep(0.05)\n", limits={"concurrency": 1}
    )
    client.submit("takes", events(5), wait=True)
    assert 45_000 < client.show("takes")["mean_us"] < 500_000

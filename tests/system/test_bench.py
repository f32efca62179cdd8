"""`engine bench` against a daemon that runs already: it measures it, and leaves it as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.harness import reference_batches
from benchmarks.load import drive

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.client import Client


def test_it_measures_the_daemon_and_takes_away_what_it_deployed(
    engine: Callable[..., Any], client: Client
) -> None:
    client.deploy("mine", "def on_track(event, settings):\n    pass\n")
    before = client.stats()["journal"]["appended"]
    answer = engine("bench", "handlers", "--smoke", "--json")
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    rates = {
        figure["name"]: figure["median"] for figure in result["figures"] if figure["program"] == "handlers"
    }
    assert set(rates) == {"handlers_def", "handlers_async", "handlers_batch"}
    assert min(rates.values()) > 0
    assert result["options"]["running_daemon"]
    assert client.stats()["journal"]["appended"] >= before + 900
    assert not [row for row in client.destinations.list() if row["name"].startswith("bench-")]
    assert not [row for row in client.functions.list() if row["name"].startswith("bench-")]


def test_an_open_load_counts_from_when_a_submit_was_due(client: Client) -> None:
    client.deploy(
        "slow",
        "import time\n\ndef on_track(event, settings):\n    time.sleep(0.02)\n",
        limits={"concurrency": 1},
    )
    load = [("slow", events) for events in reference_batches(20, 1)]
    sent = drive(client.path, load, submits_per_s=1_000.0)
    # 20 ms each, one after the other, and all were due within 20 ms: the last one waits for all others.
    assert sent.elapsed_s >= 20 * 0.02
    assert sent.latencies.count == 20
    assert sent.latencies.percentile_ms(100) >= 19 * 20
    assert sent.latencies.percentile_ms(50) >= 9 * 20


def test_a_load_without_a_rate_is_as_fast_as_it_is_taken(client: Client) -> None:
    client.deploy("fast", "def on_track(event, settings):\n    pass\n")
    sent = drive(client.path, [("fast", events) for events in reference_batches(600, 2)])
    assert sent.latencies.count == 300
    assert (
        0.05 < sent.latencies.percentile_ms(0) <= sent.latencies.percentile_ms(100) <= sent.elapsed_s * 1001
    )


def test_a_load_that_is_not_delivered_says_why(client: Client) -> None:
    client.deploy("wrong", "def on_track(event, settings):\n    raise ValueError('no')\n")
    with pytest.raises(RuntimeError, match="bad_request"):
        drive(client.path, [("wrong", events) for events in reference_batches(2, 1)])
    with pytest.raises(RuntimeError, match="nobody"):
        drive(client.path, [("nobody", events) for events in reference_batches(2, 1)])


def test_what_needs_a_daemon_of_its_own_is_refused(engine: Callable[..., Any]) -> None:
    answer = engine("bench", "backlog", "--smoke")
    assert answer.returncode == 2
    assert "backlog can't measure a daemon that runs already" in answer.stderr


def test_without_a_daemon_it_says_so(engine: Callable[..., Any]) -> None:
    answer = engine("bench", ENGINE_SOCKET="/nowhere/engine.sock")
    assert answer.returncode == 69
    assert "/nowhere/engine.sock" in answer.stderr

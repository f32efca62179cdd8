"""`engine bench` against a daemon that runs already: it measures it, and leaves it as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
    assert [row["name"] for row in client.destinations.list()] == ["mine"]
    assert [row["name"] for row in client.functions.list()] == ["mine"]


def test_what_needs_a_daemon_of_its_own_is_refused(engine: Callable[..., Any]) -> None:
    answer = engine("bench", "backlog", "--smoke")
    assert answer.returncode == 2
    assert "backlog can't measure a daemon that runs already" in answer.stderr


def test_without_a_daemon_it_says_so(engine: Callable[..., Any]) -> None:
    answer = engine("bench", ENGINE_SOCKET="/nowhere/engine.sock")
    assert answer.returncode == 69
    assert "/nowhere/engine.sock" in answer.stderr

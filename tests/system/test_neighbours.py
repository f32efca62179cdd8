"""What one destination does wrong costs itself; another one under load sees no failed event, and none that is late."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import psutil
import pytest
from neighbour import Neighbour, event
from running import Daemon, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.client import Client

SPINNING_S = 0.3
TIMEOUT_MS = 300
EVENTS = 4

TROUBLES = {
    "a loop": ("while True:\n        pass", "timeout"),
    "a loop that catches everything": (
        "while True:\n        try:\n            while True:\n                pass\n        except BaseException:\n            pass",
        "timeout",
    ),
    "a loop in C": ("import itertools\n    sum(itertools.repeat(1))", "timeout"),
    "ten gigabytes": ("return 'x' * 10 ** 10", "memory_limit"),
    "memory bit by bit": (
        "global kept\n    kept = []\n    while True:\n        kept.append('x' * 10000 + str(len(kept)))",
        "memory_limit",
    ),
    "a deep recursion": ("def f():\n        return f()\n    f()", "bad_request"),
    "a console without end": ("while True:\n        print('x' * 100000)", "timeout"),
}


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    """A neighbour in a daemon of its own."""
    daemon = Daemon(tmp_path_factory.mktemp("neighbours"))
    daemon.start()
    with Neighbour(daemon) as neighbour:
        wait_until(lambda: len(neighbour.latencies_s) > 10)
        yield neighbour
    assert daemon.stop() == 0


@pytest.mark.parametrize("keyword", ["def", "async def"])
@pytest.mark.parametrize(("body", "code"), TROUBLES.values(), ids=TROUBLES)
def test_its_trouble_costs_one_attempt_an_event_and_nobody_else(
    beside: Neighbour, keyword: str, body: str, code: str
) -> None:
    with beside.daemon.client() as client:
        limits = {"timeout_ms": TIMEOUT_MS, "memory_mib": 24, "concurrency": 2}
        client.deploy("trouble", f"{keyword} on_track(event, settings):\n    {body}\n", limits=limits)
        result = client.submit("trouble", [event(n) for n in range(EVENTS)], wait=True)
        assert result.by_code.keys() <= {code, "memory_limit", "timeout"}
        assert sum(result.by_code.values()) == EVENTS
        assert {line["attempt"] for line in client.logs("trouble")} <= {1, 2}
        client.remove("trouble", discard=True)
    assert beside.has_noticed_nothing(), (beside.by_code, max(beside.latencies_s))


def test_a_worker_that_dies_suddenly_costs_one_attempt_of_its_own_event(beside: Neighbour) -> None:
    with beside.daemon.client() as client:
        source = "def on_track(event, settings):\n    while event['properties']['n'] == 1:\n        pass\n"
        client.deploy("victim", source, limits={"concurrency": 1, "timeout_ms": 30_000})
        client.submit("victim", [event(n) for n in range(3)])
        wait_until(lambda: client.show("victim")["by_code"] == {"delivered": 1})
        running = wait_until(lambda: _that_spins(client))
        running.send_signal(signal.SIGKILL)
        wait_until(lambda: client.show("victim")["by_code"] == {"delivered": 2, "crashed": 1})
        client.remove("victim", discard=True)
    assert beside.has_noticed_nothing(), (beside.by_code, max(beside.latencies_s))


def _that_spins(client: Client) -> psutil.Process | None:
    """The worker that has begun the event that never ends: nothing else of it takes so much of a processor's time."""
    for row in client.workers():
        if row["destination"] == "victim" and row["in_flight"]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(row["pid"])
                if process.cpu_times().user > SPINNING_S:
                    return process
    return None

"""The description of the control API is true: no answer that isn't in it, no 5xx. `make faults` asks far more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from described import survey
from gateways import HttpDaemon, is_ready
from running import wait_until

from engine.gateway.routes import ROUTES

if TYPE_CHECKING:
    import pytest


def test_no_request_is_answered_otherwise_than_described(tmp_path_factory: pytest.TempPathFactory) -> None:
    daemon = HttpDaemon(tmp_path_factory.mktemp("described"))
    daemon.start()
    try:
        wait_until(lambda: is_ready(daemon.http), 30)
        with daemon.client() as client:
            token = client.tokens.create("survey", ["owner"])["token"]
            client.deploy("orders", "def on_track(event, settings):\n    return 1\n")
            client.sources.create("web")
        done = survey(f"{daemon.url}/api/v1", token, examples=2, number=7)
        assert len(done.statuses) == len(ROUTES)
        assert sum(200 in statuses for statuses in done.statuses.values()) > len(ROUTES) / 2
    finally:
        assert daemon.stop() == 0

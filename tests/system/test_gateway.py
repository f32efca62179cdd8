"""The gateway as a process: started, alone, killed, left alone by its daemon."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from gateways import HttpDaemon, OwnGateway, SentFrom, ask, is_ready
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpDaemon]:
    daemon = HttpDaemon(tmp_path_factory.mktemp("narrow"))
    (daemon.folder / "engine.toml").write_text("journal_size_max_mib = 4\n")
    daemon.start("--config", str(daemon.folder / "engine.toml"))
    yield daemon
    assert daemon.stop() == 0


def test_a_gateway_that_dies_is_back_on_its_port_and_its_daemon_did_not_notice(daemon: HttpDaemon) -> None:
    wait_until(lambda: is_ready(daemon.http))
    killed = daemon.gateway()
    with daemon.client() as client:
        before = client.list()
        killed.kill()
        wait_until(lambda: is_ready(daemon.http) and daemon.gateway().pid != killed.pid)
        assert client.list() == before


def test_a_gateway_ends_with_the_daemon_that_started_it_and_one_alone_waits_for_the_next(
    tmp_path: Path,
) -> None:
    daemon = HttpDaemon(tmp_path)
    daemon.start()
    own = daemon.gateway()
    first = OwnGateway(tmp_path, daemon.socket)
    second = OwnGateway(tmp_path, daemon.socket, first.http)
    assert second.http == first.http
    wait_until(lambda: is_ready(first.http))
    daemon.kill()
    own.wait(10)
    wait_until(lambda: not is_ready(first.http))
    assert ask(first.http, "GET", "/livez")[0] == 200
    daemon.start()
    wait_until(lambda: is_ready(first.http))
    assert (first.stop(), second.stop(), daemon.stop()) == (0, 0, 0)


def test_an_address_that_can_not_be_served_stops_the_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "serve", "--data-dir", str(tmp_path), "--http", "192.0.2.1:80"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, "192.0.2.1:80 can't be listened on" in done.stderr) == (78, True)


def test_a_full_journal_is_told_as_429_and_what_was_acknowledged_is_there(daemon: HttpDaemon) -> None:
    with daemon.client() as client:
        source = SentFrom(daemon, client, "web")
        client.deploy("kept", "def on_track(event, settings): pass", sources=["web"])
        client.pause("kept")
        acknowledged = 0
        while acknowledged < 1_000:
            events = [{"type": "track", "userId": "u", "event": "e", "pad": "x" * 20_000} for _ in range(20)]
            status, headers, answer = source.post("/v1/batch", {"batch": events})
            if status != 200:
                break
            acknowledged += 20
        assert (status, answer["code"], headers["retry-after"]) == (429, "journal_full", "10")
        assert client.show("kept")["stored"] == acknowledged

"""The gateway as a process: started, alone, killed, left alone by its daemon."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from gateways import HttpDaemon, OwnGateway, ask, is_ready
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[HttpDaemon]:
    daemon = HttpDaemon(tmp_path)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0


def test_a_gateway_that_dies_is_back_on_its_port_and_its_daemon_did_not_notice(daemon: HttpDaemon) -> None:
    wait_until(lambda: is_ready(daemon.http))
    killed = daemon.gateway()
    with daemon.client() as client:
        killed.kill()
        wait_until(lambda: is_ready(daemon.http) and daemon.gateway().pid != killed.pid)
        assert client.list() == []


def test_a_gateway_ends_with_the_daemon_that_started_it(tmp_path: Path) -> None:
    daemon = HttpDaemon(tmp_path)
    daemon.start()
    gateway = daemon.gateway()
    daemon.kill()
    gateway.wait(10)
    assert not psutil.pid_exists(gateway.pid)


def test_a_gateway_alone_outlives_the_daemon_and_shares_the_port_with_others(tmp_path: Path) -> None:
    daemon = HttpDaemon(tmp_path)
    daemon.start()
    first = OwnGateway(tmp_path, daemon.socket)
    second = OwnGateway(tmp_path, daemon.socket, first.http)
    assert second.http == first.http
    wait_until(lambda: is_ready(first.http))
    daemon.kill()
    wait_until(lambda: not is_ready(first.http))
    assert ask(first.http, "GET", "/livez")[0] == 200
    daemon.start()
    wait_until(lambda: is_ready(first.http))
    assert (first.stop(), second.stop(), daemon.stop()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("http", "message", "status"),
    [("192.0.2.1:80", "can't be listened on", 78), ("nowhere", "an address is HOST:PORT", 78)],
)
def test_an_address_that_can_not_be_served_stops_the_start(
    http: str, message: str, status: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "serve", "--data-dir", str(tmp_path), "--http", http],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, message in done.stderr) == (status, True)

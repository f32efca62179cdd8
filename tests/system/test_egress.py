"""What the operator decides of HTTP, and what becomes of it when an egress process dies or hangs: with a real daemon."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from running import Daemon, wait_until
from upstreams import Request, Server, certificates, reply

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from pathlib import Path

    from engine.client import Client

ASYNC = "async def on_track(event, settings):\n    assert (await fetch(settings.url)).ok\n"
COUNT = itertools.count()


def track() -> dict[str, Any]:
    return {"type": "track", "event": "x", "userId": "u", "messageId": f"m{next(COUNT)}"}


def deliver(client: Client, name: str, count: int = 1) -> dict[str, int]:
    return dict(client.submit(name, [track() for _ in range(count)], wait=True).by_code)


def launchers_of(daemon: Daemon) -> list[psutil.Process]:
    """Of the egress: each forks one process."""
    assert daemon.process is not None
    children = psutil.Process(daemon.process.pid).children()
    return [child for child in children if "engine.egress" in child.cmdline()]


def pairs_of(daemon: Daemon) -> set[tuple[psutil.Process, psutil.Process]]:
    """Each launcher with its process."""
    return {(launcher, child) for launcher in launchers_of(daemon) for child in launcher.children()}


@pytest.fixture(scope="module")
def peers() -> dict[str, set[str]]:
    """Path → addresses that it was called from."""
    return {}


@pytest.fixture(scope="module")
def ca_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the test authority's certificate is, once the server is there."""
    return tmp_path_factory.mktemp("ca")


@pytest.fixture(scope="module")
def server(ca_folder: Path, peers: dict[str, set[str]]) -> Iterator[Server]:
    async def whence(request: Request, writer: asyncio.StreamWriter) -> bytes:
        peers.setdefault(request.path, set()).add(writer.get_extra_info("peername")[0])
        return reply(b"ok")

    _, context = certificates(ca_folder, "127.0.0.1")
    with Server({f"/{at}": whence for at in range(4)}, tls=context) as server:
        yield server


SETTINGS = """
egress_processes = 2
egress_ca_file = "{ca_file}"
egress_source_address = "127.0.0.9"
[egress_allow_for]
open = ["127.0.0.1:*"]
shut = ["127.0.0.1:*"]
[egress_deny_for]
shut = ["127.0.0.0/8"]
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, server: Server, ca_folder: Path) -> Iterator[Daemon]:
    del server  # which writes the certificate
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    file = daemon.folder / "engine.toml"
    file.write_text(SETTINGS.format(ca_file=ca_folder / "ca.pem"))
    daemon.start("--config", str(file))
    yield daemon
    assert daemon.stop() == 0, daemon.log.read_text()[-2000:]


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as client:
        yield client


def test_lists_of_a_destination_are_its_own_and_what_denies_wins(client: Client, server: Server) -> None:
    for name in ("open", "shut", "other"):
        client.deploy(name, ASYNC, settings={"url": server.url("/0")})
    assert deliver(client, "open") == {"delivered": 1}
    assert deliver(client, "shut") == deliver(client, "other") == {"bad_request": 1}
    (line,) = client.logs("shut")
    assert "deny-list" in line["error"]["message"]


def test_calls_are_encrypted_with_the_operators_authority_and_come_from_the_operators_address(
    client: Client, server: Server, peers: dict[str, set[str]]
) -> None:
    client.deploy("open", ASYNC, settings={"url": server.url("/1")})
    assert deliver(client, "open") == {"delivered": 1}
    assert server.url().startswith("https:")
    assert peers["/1"] == {"127.0.0.9"}


@contextlib.contextmanager
def allowed(daemon: Daemon, place: str) -> Iterator[None]:
    """All destinations may call `place`, for a while: the daemon reads its lists anew, twice."""
    file = daemon.folder / "engine.toml"
    text = file.read_text()
    assert daemon.process is not None
    try:
        file.write_text(f'egress_allow = ["{place}"]\n{text}')
        daemon.process.send_signal(signal.SIGHUP)
        yield
    finally:
        file.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)


def test_lists_are_read_anew_on_a_signal_and_hold_for_workers_that_run(
    daemon: Daemon, client: Client, server: Server
) -> None:
    client.deploy("later", ASYNC, settings={"url": server.url("/2")})
    assert deliver(client, "later") == {"bad_request": 1}
    with allowed(daemon, f"127.0.0.1:{server.port}"):
        wait_until(lambda: deliver(client, "later") == {"delivered": 1})
    wait_until(lambda: deliver(client, "later") == {"bad_request": 1})


def load(daemon: Daemon, name: str, done: list[float], until: threading.Event) -> threading.Thread:
    """Submit to `name` until it is over; `done` are the times at which an event was delivered."""

    def run() -> None:
        with daemon.client() as own:
            while not until.is_set():
                assert deliver(own, name) == {"delivered": 1}
                done.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    return thread


LAUNCHER, PROCESS = 0, 1


@pytest.mark.parametrize(
    ("kind", "number"), [(PROCESS, signal.SIGKILL), (PROCESS, signal.SIGSTOP), (LAUNCHER, signal.SIGKILL)]
)
def test_of_two_processes_one_dies_or_hangs_and_only_its_destinations_notice(
    daemon: Daemon, client: Client, server: Server, kind: int, number: signal.Signals
) -> None:
    # Destinations are numbered as they are made, and take turns between the two.
    names = (f"one-{kind}-{number.name}", f"two-{kind}-{number.name}")
    with allowed(daemon, f"127.0.0.1:{server.port}"):
        for name in names:
            client.deploy(name, ASYNC, settings={"url": server.url("/3")})
            wait_until(lambda name=name: deliver(client, name) == {"delivered": 1})
        known = len([line for name in names for line in client.logs(name)])
        pair, other = pairs_of(daemon)
        struck = pair[PROCESS]
        until = threading.Event()
        done: dict[str, list[float]] = {name: [] for name in names}
        threads = [load(daemon, name, done[name], until) for name in names]
        wait_until(lambda: all(len(times) > 3 for times in done.values()))
        begun = time.monotonic()
        os.kill(pair[kind].pid, number)
        wait_until(lambda: not struck.is_running(), 30)
        ended = time.monotonic()
        wait_until(lambda: all(times[-1] > ended for times in done.values()), 30)
        until.set()
        for thread in threads:
            thread.join(30)
    if number == signal.SIGSTOP:
        assert ended - begun > 1
        meanwhile = sorted(sum(begun < at < ended for at in times) for times in done.values())
        assert meanwhile[0] <= 2  # what was under way
        assert meanwhile[1] > 3
    now = pairs_of(daemon)
    assert len(now) == 2
    assert other in now
    assert (pair[LAUNCHER] in {launcher for launcher, _ in now}) == (kind == PROCESS)
    assert len([line for name in names for line in client.logs(name)]) == known  # no attempt was charged


def test_a_start_that_fails_says_why_and_is_tried_again(
    daemon: Daemon, client: Client, server: Server, ca_folder: Path
) -> None:
    client.deploy("open", ASYNC, settings={"url": server.url("/0")})
    (ca_folder / "ca.pem").rename(ca_folder / "away.pem")
    for launcher in launchers_of(daemon):
        launcher.kill()
    wait_until(lambda: "egress_not_started" in daemon.log.read_text())
    assert "FileNotFoundError" in daemon.log.read_text()
    (ca_folder / "away.pem").rename(ca_folder / "ca.pem")
    assert deliver(client, "open") == {"delivered": 1}

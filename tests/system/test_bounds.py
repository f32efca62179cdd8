"""Bounds of the daemon as a whole: connections, requests, a disk that is full, a zygote that dies again and again."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from running import Daemon, launchers_of, new_id, wait_until

from engine.api import connection, frames
from engine.errors import JournalFull
from engine.session import pack_call, pack_hello
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.client import Client

KEEPS = "def on_track(event):\n    pass\n"


def events(count: int, size: int = 0) -> list[dict[str, Any]]:
    return [{"type": "track", "messageId": new_id(), "userId": "u", "x": "x" * size} for _ in range(count)]


def connected(daemon: Daemon) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX)
    opened.settimeout(20)
    opened.connect(str(daemon.socket))
    with contextlib.suppress(BrokenPipeError):  # who is one too many may be told so before it says anything
        opened.sendall(pack_hello(None))
    return opened


def received(opened: socket.socket) -> wire.Frame:
    """The next frame. Nothing may come after it."""
    (size,) = wire.LENGTH.unpack(opened.recv(wire.LENGTH.size, socket.MSG_WAITALL))
    return frames.decode(opened.recv(size, socket.MSG_WAITALL), frames.FROM_DAEMON)


def test_1024_clients_are_served_and_the_next_is_told_why_not(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(daemon)) for _ in range(connection.CONNECTIONS_MAX)]
        assert {type(received(each)) for each in clients} == {frames.Welcome}
        with connected(daemon) as refused:
            told = received(refused)
            assert isinstance(told, frames.Error)
            assert (told.id, told.code) == (frames.CONNECTION_ID, "unavailable")
            assert "1024 clients are connected" in told.message
        clients[0].close()
        wait_until(lambda: is_welcome(daemon))
        clients[1].sendall(pack_call(1, "list", {}))
        assert isinstance(received(clients[1]), frames.Result)
    wait_until(lambda: sockets(daemon) < 10)  # nothing of it stays


def is_welcome(daemon: Daemon) -> bool:
    with connected(daemon) as opened:
        return isinstance(received(opened), frames.Welcome)


def sockets(daemon: Daemon) -> int:
    """The daemon's, as the kernel tells anybody: into its own descriptors only root may look."""
    bound = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(f" {daemon.socket}") for line in bound)


def test_64_requests_run_on_a_connection_and_the_next_is_told_to_wait(daemon: Daemon, client: Client) -> None:
    client.deploy("followed", KEEPS)
    with connected(daemon) as busy:
        assert isinstance(received(busy), frames.Welcome)
        for number in range(connection.REQUESTS_MAX):
            busy.sendall(pack_call(number, "logs", {"name": "followed", "follow": True}))
        busy.sendall(pack_call(1_000, "list", {}))
        told = received(busy)
        assert isinstance(told, frames.Error)
        assert (told.id, told.code) == (1_000, "unavailable")
        busy.sendall(frames.Cancel(0).pack())
        assert received(busy) == frames.End(0)
        busy.sendall(pack_call(1_001, "list", {}))
        assert isinstance(received(busy), frames.Result)


def test_a_zygote_that_dies_again_and_again_is_started_later_and_later(
    daemon: Daemon, client: Client
) -> None:
    client.deploy("lasting", KEEPS)
    died = 0.0
    while "respawns=3" not in daemon.log.read_text():
        wait_until(lambda: any(row["state"] == "spare" for row in client.workers()))
        deaths, died = daemon.log.read_text().count("zygote_died"), time.monotonic()
        for launcher in launchers_of(daemon):
            launcher.kill()
        wait_until(lambda deaths=deaths: daemon.log.read_text().count("zygote_died") > deaths)
    wait_until(lambda: any(row["state"] == "spare" for row in client.workers()))
    assert time.monotonic() - died >= 1.0
    assert client.submit("lasting", events(1), wait=True).by_code == {"delivered": 1}


def test_a_destination_whose_workers_die_again_and_again_gets_them_later_and_later(
    daemon: Daemon, client: Client
) -> None:
    client.deploy(
        "dying", "import time\ndef on_track(event):\n    time.sleep(0.2)\n", limits={"concurrency": 1}
    )
    client.submit("dying", events(100))
    died, killed = 0.0, set[int]()

    def busy() -> list[int]:
        rows = [row for row in client.workers() if row["destination"] == "dying" and row["in_flight"]]
        return [row["pid"] for row in rows if row["pid"] not in killed]

    for deaths in (1, 2, 3, 4):
        (pid,) = wait_until(busy)
        died = time.monotonic()
        killed.add(pid)
        psutil.Process(pid).kill()
        wait_until(lambda deaths=deaths: daemon.log.read_text().count("worker_died") >= deaths)
    wait_until(busy)
    assert time.monotonic() - died >= 0.5
    client.remove("dying", discard=True)


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon on a file system of 40 MiB."""
    if os.geteuid():
        pytest.skip("only root can mount a file system for a daemon that it starts")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"this host lets nobody mount: {mounted.stderr.decode().strip()}")
    daemon = Daemon(folder)
    daemon.log = tmp_path / "log"
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.kill()
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_events_are_refused_what_was_taken_goes_on_and_room_mends_it(cramped: Daemon) -> None:
    cramped.start()
    ballast = cramped.folder / "ballast"
    with cramped.client() as client:
        client.deploy("kept", KEEPS)
        client.pause("kept")
        taken = client.submit("kept", events(200)).accepted
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free_bytes(cramped.folder) - (2 << 20))
        refusal = None
        while refusal is None:
            try:
                taken += client.submit("kept", events(100, 1_000)).accepted
            except JournalFull as error:
                refusal = error
        assert "free space" in refusal.remedy
        assert not client.stats()["journal"]["writable"]
        assert client.show("kept")["stored"] == taken
        client.resume("kept")
        wait_until(lambda: client.show("kept")["by_code"] == {"delivered": taken})
        ballast.unlink()
        wait_until(lambda: client.stats()["journal"]["writable"])
        assert client.submit("kept", events(10), wait=True).by_code == {"delivered": 10}
    assert cramped.stop() == 0, cramped.log.read_text()[-2000:]


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize

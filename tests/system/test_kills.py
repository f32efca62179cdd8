"""Whatever is killed, nothing that was acknowledged is lost, and nobody else notices."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from running import launchers_of, new_id, wait_until

from engine.clock import SystemClock
from engine.errors import Unavailable
from engine.events import encode_events
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk

if TYPE_CHECKING:
    import psutil
    from running import Daemon

    from engine.client import Client

SLOW = "import time\ndef on_track(event, settings):\n    time.sleep(0.002)\n"
QUICK = "def on_track(event, settings):\n    return 1\n"


def events(count: int) -> list[dict[str, Any]]:
    return [{"type": "track", "messageId": new_id(), "userId": "u", "event": "x"} for _ in range(count)]


def busy_workers(client: Client, name: str) -> list[int]:
    return [row["pid"] for row in client.workers() if row["destination"] == name and row["in_flight"]]


def zygote_of(daemon: Daemon) -> psutil.Process:
    """The child of the launcher: pid 1 of the workers' namespace."""
    (launcher,) = launchers_of(daemon)
    (zygote,) = launcher.children()
    return zygote


def test_a_killed_worker_costs_its_own_event_one_attempt_and_the_rest_nothing(daemon: Daemon) -> None:
    with daemon.client() as client, daemon.client() as other:
        client.deploy(
            "killed", "import time\ndef on_track(event):\n    time.sleep(0.005)\n", limits={"concurrency": 4}
        )
        client.deploy("calm", QUICK)
        results: list[Any] = []
        sender = threading.Thread(
            target=lambda: results.append(client.submit("killed", events(4000), wait=True))
        )
        sender.start()
        killed = 0
        slowest = 0.0
        while killed < 3 and sender.is_alive():
            begun = time.monotonic()
            assert other.submit("calm", events(1), wait=True).delivered == 1
            slowest = max(slowest, time.monotonic() - begun)
            pids = busy_workers(other, "killed")
            if pids:
                os.kill(pids[0], signal.SIGKILL)
                killed += 1
                time.sleep(0.2)
        sender.join(30)
        (result,) = results
        assert result.delivered + result.by_code.get("crashed", 0) == 4000
        assert killed == 3
        assert result.by_code.get("crashed", 0) <= 3
        assert slowest < 5.0  # it bounds a pause of the others, however busy the machine is


def test_a_killed_zygote_takes_its_workers_along_and_service_goes_on_uncharged(daemon: Daemon) -> None:
    with daemon.client() as client, daemon.client() as other:
        client.deploy("going-on", SLOW)
        results: list[Any] = []
        sender = threading.Thread(
            target=lambda: results.append(client.submit("going-on", events(600), wait=True))
        )
        sender.start()
        while not busy_workers(other, "going-on"):
            time.sleep(0.01)
        zygote_of(daemon).kill()
        sender.join(30)
        (result,) = results
        assert result.by_code == {"delivered": 600}


def shelved_message_ids(folder: Path) -> set[str]:
    """By name and not by number: a doubled event must not stand in for a lost one."""

    async def read() -> set[str]:
        journal = SqliteJournal.open(folder / "journal.db", clock=SystemClock())
        try:
            names: set[str] = set()
            cursor = None
            while True:
                page = await journal.deliveries(1, "shelved", limit=1_000, cursor=cursor)
                names.update(delivery.event.message_ids[0] for delivery in page.deliveries)
                cursor = page.cursor
                if cursor is None:
                    return names
        finally:
            await journal.close()

    return asyncio.run(read())


def test_every_acknowledged_event_reaches_the_handler_across_a_kill(own_daemon: Daemon) -> None:
    """The handler rejects every event, so that each one that ran is on the shelf, with its number."""
    own_daemon.start()
    acknowledged: list[int] = []
    with own_daemon.client() as client:
        client.deploy("shelved", "def on_track(event):\n    raise ValidationError(event['messageId'])\n")
        batches = ([{"type": "track", "messageId": str(at), "userId": "u"}] for at in range(100_000))
        killer = threading.Timer(0.4, own_daemon.kill)
        killer.start()
        try:
            for at, result in enumerate(client.submit_many("shelved", batches)):
                assert result.accepted == 1
                acknowledged.append(at)
        except Unavailable:
            pass
        killer.join()
    assert len(acknowledged) > 100
    own_daemon.start()
    with own_daemon.client() as client:
        deadline = time.monotonic() + 60
        while client.show("shelved")["stored"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert own_daemon.stop() == 0
    assert set(map(str, acknowledged)) <= shelved_message_ids(own_daemon.folder)


def test_a_removal_that_a_kill_cut_short_is_continued(own_daemon: Daemon) -> None:
    own_daemon.start()
    with own_daemon.client() as client:
        client.deploy("stays", QUICK)
    assert own_daemon.stop() == 0

    async def leave_events_of_nobody() -> None:
        clock = SystemClock()
        journal = SqliteJournal.open(own_daemon.folder / "journal.db", clock=clock)
        chunk = Chunk(99, encode_events(events(50)), clock.now_ms(), clock.now_ms())
        await journal.append([chunk])
        await journal.close()

    asyncio.run(leave_events_of_nobody())
    own_daemon.start()
    with own_daemon.client() as client:
        wait_until(lambda: client.stats()["journal"]["stored"] == 0)
        assert client.submit("stays", events(3), wait=True).delivered == 3
    assert own_daemon.stop() == 0


def test_a_second_daemon_on_the_same_data_is_refused_naming_the_first(daemon: Daemon) -> None:
    import subprocess
    import sys

    assert daemon.process is not None
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "engine",
            "serve",
            "--data-dir",
            str(daemon.folder),
            "--socket",
            str(daemon.folder / "b.sock"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 69
    assert f"pid {daemon.process.pid}" in second.stderr


def test_garbage_on_the_socket_closes_that_connection_and_nothing_else(daemon: Daemon) -> None:
    import socket

    with daemon.client() as client:
        client.deploy("calm", QUICK)
        for garbage in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x00\x00\x00\x02\x91\x63",
            b"\xff" * 64,
            b"\x00\x00\x00\x00",
            os.urandom(4096),
        ):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(daemon.socket))
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                while connection.recv(4096):
                    pass
        assert client.submit("calm", events(10), wait=True).delivered == 10


def test_a_flood_waits_on_disk_and_is_delivered_in_full(own_daemon: Daemon) -> None:
    (own_daemon.folder / "engine.toml").write_text("memory_queue_mib = 1\n")
    own_daemon.start("--config", str(own_daemon.folder / "engine.toml"))
    with own_daemon.client() as client:
        client.deploy("flood", QUICK)
        padded = [{**item, "properties": {"pad": "x" * 500}} for item in events(20_000)]
        assert client.submit("flood", padded, wait=True).delivered == 20_000
        wait_until(lambda: client.show("flood")["stored"] == 0)
        assert client.stats()["held_mib"] <= 0.1
    assert own_daemon.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a process that isn't dumpable")
def test_a_worker_has_an_empty_root_and_no_rights(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.deploy("bare", QUICK)
        client.submit("bare", events(1), wait=True)
        (pid,) = [row["pid"] for row in client.workers() if row["destination"] == "bare"]
        assert list(Path(f"/proc/{pid}/root").iterdir()) == []
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert {status[name] for name in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1"
        assert "0" not in status["Uid"].split()
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""
        assert (
            Path(f"/proc/{pid}/net/dev").read_text().count("\n") == 3
        )  # two heading lines, and a loopback that is down
        for name in ("net", "pid", "user", "mnt", "ipc", "uts", "cgroup"):
            assert Path(f"/proc/{pid}/ns/{name}").readlink() != Path(f"/proc/self/ns/{name}").readlink()

"""Starting, reloading and stopping a real daemon."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from running import wait_until

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running import Daemon

SLOW = "import time\ndef on_track(event):\n    time.sleep(event['s'])\n"


def sleeping(*seconds: float) -> list[dict[str, Any]]:
    return [
        {"type": "track", "userId": "u", "messageId": f"{at}-{time.monotonic_ns()}", "s": s}
        for at, s in enumerate(seconds)
    ]


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd would hear; the watchdog is patient for 0.2 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener


def until_heard(listener: socket.socket, word: str) -> None:
    while not listener.recv(200).decode().startswith(word):
        pass


def test_systemd_hears_ready_watchdog_reloading_and_stopping(
    own_daemon: Daemon, heard: socket.socket
) -> None:
    own_daemon.start()
    assert heard.recv(200) == b"READY=1"
    for _ in range(3):
        assert heard.recv(200) == b"WATCHDOG=1"
    assert own_daemon.process is not None
    own_daemon.process.send_signal(signal.SIGHUP)
    until_heard(heard, "RELOADING=1\nMONOTONIC_USEC=")
    until_heard(heard, "READY=1")
    own_daemon.process.terminate()
    until_heard(heard, "STOPPING=1")
    assert own_daemon.process.wait(20) == 0


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def test_a_start_that_fails_half_way_says_why_and_leaves_no_process_behind(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("this is no journal " * 1_000)
    command = [sys.executable, "-m", "engine", "serve", "--data-dir", str(tmp_path)]
    begun: set[psutil.Process] = set()
    with subprocess.Popen(
        [*command, "--socket", str(tmp_path / "socket")], stderr=subprocess.PIPE, text=True
    ) as daemon:
        while daemon.poll() is None:
            with contextlib.suppress(psutil.Error):
                begun |= set(psutil.Process(daemon.pid).children(recursive=True))
            time.sleep(0.002)
        assert daemon.stderr is not None
        assert "journal.db" in daemon.stderr.read()
    assert daemon.returncode == 78
    assert begun  # before the journal was looked at
    wait_until(lambda: not any(is_alive(process) for process in begun))


def test_a_stop_lets_what_runs_finish_and_hands_the_rest_back(own_daemon: Daemon) -> None:
    own_daemon.start()
    with own_daemon.client() as client:
        client.deploy("slow", SLOW, limits={"concurrency": 1})
        client.submit("slow", sleeping(0.5, *[0.05] * 30))
        wait_until(lambda: client.show("slow")["in_flight"])
    assert own_daemon.stop() == 0
    own_daemon.start()
    with own_daemon.client() as client:
        stored = client.show("slow")["stored"]
        assert 0 < stored < 31
        wait_until(lambda: client.show("slow")["stored"] == 0)
    assert own_daemon.stop() == 0


def test_a_stop_waits_no_longer_than_it_may_and_what_ran_runs_again(own_daemon: Daemon) -> None:
    (own_daemon.folder / "engine.toml").write_text("drain_timeout_s = 0\n")
    own_daemon.start("--config", str(own_daemon.folder / "engine.toml"))
    with own_daemon.client() as client:
        client.deploy("stuck", SLOW, limits={"timeout_ms": 60_000})
        client.submit("stuck", sleeping(50))
        wait_until(lambda: client.show("stuck")["in_flight"])
    begun = time.monotonic()
    assert own_daemon.stop() == 0
    assert time.monotonic() - begun < 8
    own_daemon.start()
    with own_daemon.client() as client:
        assert client.show("stuck")["stored"] == 1
        client.remove("stuck", discard=True)
    assert own_daemon.stop() == 0


def test_while_it_stops_submits_are_refused_and_a_second_signal_ends_it_at_once(own_daemon: Daemon) -> None:
    own_daemon.start()
    assert own_daemon.process is not None
    with own_daemon.client() as client:
        client.deploy("stuck", SLOW, limits={"timeout_ms": 60_000})
        client.submit("stuck", sleeping(50))
        wait_until(lambda: client.show("stuck")["in_flight"])
        own_daemon.process.terminate()
        wait_until(lambda: "stopping" in own_daemon.log.read_text())
        with pytest.raises(EngineError, match=r"stopping|hung up"):
            client.submit("stuck", sleeping(0))
    own_daemon.process.terminate()
    assert own_daemon.process.wait(5) == 130


def test_a_reload_with_one_wrong_setting_changes_nothing_else_it_takes_what_it_can_and_says_what_needs_a_restart(
    own_daemon: Daemon,
) -> None:
    config = own_daemon.folder / "engine.toml"
    config.write_text("timeout_ms = 1000\n")
    own_daemon.start("--config", str(config))

    def timeouts_ms(*names: str) -> list[int]:
        return [client.show(name)["limits"]["timeout_ms"] for name in names]

    with own_daemon.client() as client:
        client.deploy("earlier", SLOW)
        client.deploy("itself", SLOW, limits={"timeout_ms": 700})
        client.submit("earlier", sleeping(0.01), wait=True)
        config.write_text("timeout_ms = 3000\nspares = 0\n")
        hang_up(own_daemon)
        wait_until(lambda: "reload_refused" in own_daemon.log.read_text())
        assert "spares is a whole number" in own_daemon.log.read_text()
        client.deploy("meanwhile", SLOW)
        assert timeouts_ms("earlier", "itself", "meanwhile") == [1000, 700, 1000]
        config.write_text('timeout_ms = 2000\nsocket_mode = "0666"\n')
        hang_up(own_daemon)
        wait_until(lambda: "restart_needed" in own_daemon.log.read_text())
        assert "socket_mode" in own_daemon.log.read_text().split("restart_needed")[1]
        client.deploy("later", SLOW)
        assert timeouts_ms("earlier", "itself", "later") == [2000, 700, 2000]
        assert client.submit("earlier", sleeping(1.2), wait=True).by_code == {"delivered": 1}
        assert own_daemon.socket.stat().st_mode & 0o777 == 0o600


def hang_up(daemon: Daemon) -> None:
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGHUP)

"""What systemd hears."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from engine import notify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_change_of_state_is_a_datagram_to_the_socket_that_is_named(
    tmp_path: Path, is_abstract: bool
) -> None:
    name = f"@engine-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind("\0" + name[1:] if is_abstract else name)
        heard.settimeout(5)
        notify.notify(notify.READY, {"NOTIFY_SOCKET": name})
        assert heard.recv(100) == b"READY=1"
        notify.notify(notify.reloading(), {"NOTIFY_SOCKET": name})
        first, second = heard.recv(100).decode().split("\n")
        assert first == "RELOADING=1"
        assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


@pytest.mark.parametrize("name", ["", "@", "relative", "/nowhere/at/all"])
def test_nobody_who_listens_is_no_error(name: str) -> None:
    notify.notify(notify.READY, {"NOTIFY_SOCKET": name})


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(env: dict[str, str], seconds: float | None) -> None:
    assert notify.watchdog_s(env) == seconds

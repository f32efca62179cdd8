"""What systemd is told of the daemon's state (`sd_notify(3)`): a datagram a change, to the socket that it names."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
WATCHDOG: Final = "WATCHDOG=1"


def reloading() -> str:
    """`READY` follows when it is over. With `Type=notify-reload` the time is required."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def notify(state: str, env: Mapping[str, str] = os.environ) -> None:
    """Tell it, if somebody wants to know. It may fail: whoever doesn't listen isn't waited for."""
    address = env.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"} or len(address) < 2:
        return
    if address[0] == "@":  # in the abstract namespace
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), address)


def watchdog_s(env: Mapping[str, str] = os.environ) -> float | None:
    """How often it wants to hear that the daemon lives; None if it doesn't. Half of what it is patient for."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        usec = int(env.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return usec / 2e6 if usec > 0 else None

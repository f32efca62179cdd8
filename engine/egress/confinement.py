"""The kernel's part for an egress process, one checklist: it keeps the network, and of files what resolving names needs.

It handles what strangers send, from two sides; whoever takes it over finds no files, no other program to become, no
process to look into, and the channels of other destinations as the only loot. Certificates were read before.
"""

from __future__ import annotations

import codecs
import os
import signal
import socket
from typing import TYPE_CHECKING, Final

from sandbox import jail, kernel, landlock, seccomp

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY: Final = 65534
READABLE: Final = (
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
)
"""What the C library reads to resolve a name."""
CALLS_NEEDED: Final = frozenset(
    "socket socketpair connect bind sendmsg recvmsg sendmmsg recvmmsg setsockopt".split()
)
"""Calls that kill a worker and that an egress process makes; it accepts no connection and listens to none."""


def enter(parent: int) -> list[list[str]]:
    """Take all steps, in order. Rows of layer, state and the kernel's answer. Raises `OSError` if one that must hold doesn't."""
    _resolve_once()
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("ids", _become_nobody),
        ("life", lambda: _die_with(parent)),
        ("capabilities", jail.drop_capabilities),
        ("no_new_privs", lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)),
        ("landlock", _restrict_files),
        ("seccomp", _filter_calls),
        ("dumpable", lambda: kernel.prctl(kernel.PR_SET_DUMPABLE, 0)),
    )
    rows = []
    for layer, take in steps:
        try:
            take()
            rows.append([layer, "holding", ""])
        except OSError as error:
            if layer != "landlock":
                raise
            rows.append([layer, "missing", str(error)])  # an old kernel; the other layers hold
    return rows


def _resolve_once() -> None:
    """Whatever resolving loads, it loads now: modules of the C library, codecs of the interpreter."""
    codecs.lookup("idna")
    try:
        socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    except OSError:
        return


def _become_nobody() -> None:
    """Root's egress isn't root. First: what changes ids clears the steps below."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _die_with(parent: int) -> None:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise ProcessLookupError("the launcher is gone")


def _restrict_files() -> None:
    version = landlock.abi()
    if not version:
        raise OSError("this kernel has no Landlock, or it is switched off")
    landlock.restrict(version, readable=READABLE, is_networked=True)


def _filter_calls() -> None:
    try:
        program = seccomp.assemble_denying(os.uname().machine, CALLS_NEEDED)
    except KeyError:
        raise OSError(f"no table of calls for {os.uname().machine}") from None
    seccomp.install(program.code)

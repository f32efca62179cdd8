"""The kernel's part, one checklist read top to bottom: once in the zygote, then once in each worker.

Namespaces are entered once, for all workers of a zygote; the rest is done by each worker, so that workers are kept
apart from each other too. Everything through ctypes: nothing to compile, no system library but the C library.

What is not here yet, and is not promised: the system-call filter, and Landlock.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
NAMESPACES: Final = {
    "user": CLONE_NEWUSER,
    "mount": CLONE_NEWNS,
    "net": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
    "pid": CLONE_NEWPID,
}
MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2
PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
"""The call's number; the C library has no function for it."""
PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAPBSET_DROP: Final = 24
CAPABILITY_VERSION_3: Final = 0x20080522
STACK_BYTES_MAX: Final = 8 * 1024 * 1024
FILES_MAX: Final = 32
NOBODY: Final = 65534

_libc = ctypes.CDLL(None, use_errno=True)


class JailError(Exception):
    """A layer that must hold doesn't."""

    def __init__(self, layer: str, answer: str, remedy: str) -> None:
        super().__init__(f"{layer}: {answer}")
        self.layer = layer
        self.answer = answer
        self.remedy = remedy


def _call(name: str, *arguments: int | bytes | None) -> None:
    """A C library function that answers 0; raises `OSError` otherwise."""
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


# --- Once, in the zygote


def enter_namespaces(control_fd: int, *, is_degraded_allowed: bool) -> list[list[str]]:
    """Enter every namespace, then fork: the child returns as pid 1; the parent waits for it and never returns.

    Returns rows of layer, state (`holding` or `waived`) and the kernel's answer. Raises `JailError`.
    """
    supervisor = os.getppid()
    if os.geteuid() == 0:
        _become_nobody()
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(0)
    rows = []
    uid, gid = os.geteuid(), os.getegid()
    flags = 0
    for flag in NAMESPACES.values():
        flags |= flag
    try:
        _call("unshare", flags)
        _map_ids(uid, gid)
        rows.append(["namespaces", "holding", " ".join(NAMESPACES)])
    except OSError as error:
        if not is_degraded_allowed:
            raise JailError(
                "namespaces",
                str(error),
                "allow unprivileged user namespaces on this host, or waive them with --allow-degraded",
            ) from None
        rows.append(["namespaces", "waived", str(error)])
    child = os.fork()
    if child:
        os.close(control_fd)
        _wait_for(child)
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if rows[0][1] == "holding":
        rows.append(_enter_empty_root())
    return rows


def _enter_empty_root() -> list[str]:
    """An empty, read-only file system for a root: no files, and no socket that has a path. Raises `JailError`."""
    try:
        _call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
        _call("mount", b"tmpfs", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, b"size=4k,mode=555")
        os.chdir("/tmp")  # noqa: S108  the new root
        _call("syscall", PIVOT_ROOT[os.uname().machine], b".", b".")
        _call("umount2", b".", MNT_DETACH)
        os.chdir("/")
        _call(
            "mount",
            None,
            b"/",
            None,
            MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
            None,
        )
    except (OSError, KeyError) as error:
        raise JailError("root", str(error), "allow mounts in user namespaces on this host") from None
    return ["root", "holding", "empty, read-only"]


def _become_nobody() -> None:
    """Root's workers aren't root, inside or outside. Afterwards dumpable is set again, or /proc/self would be root's."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    _call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)


def _map_ids(uid: int, gid: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, "ascii")


def _wait_for(child: int) -> NoReturn:
    """Hold nothing, wait, and end as the child ended."""
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


# --- Once in each worker


def close_all_but(keep: Iterable[int]) -> None:
    """Close every other descriptor, standard input and output included."""
    kept = sorted(keep)
    for low, high in zip([-1, *kept], [*kept, 1 << 16], strict=True):
        if high - low > 1:
            os.closerange(low + 1, high)


def lock_worker() -> None:
    """Take from this process what it doesn't need. Before any code of a user; raises `OSError` if a step fails."""
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.umask(0o777)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES_MAX, STACK_BYTES_MAX))
    _drop_capabilities()
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Last: what changes ids or capabilities sets it again.
    _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def _drop_capabilities() -> None:
    """Empty the bounding set, then the permitted, effective and inheritable sets."""
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    if _libc.capset(header, sets) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

"""The kernel's part: one checklist, read top to bottom.

    LAUNCHER ──fork──► ZYGOTE (pid 1 of its namespace) ──fork──► WORKER, each time

What is inherited and can't be undone is done once, in the zygote; what would hinder it, or keeps workers apart from each
other, is done by each worker. The order matters:

- the score for the out-of-memory killer and the cgroup are files of the host: before the root is gone
- changing ids clears dumpable and the signal for a parent's death: those come after
- securebits need a capability: before the capabilities go
- Landlock needs a descriptor, so `limits`, which leaves no room for another, comes after it
- the filter refuses what the other steps need: it is last

What a host can't do is told as `JailError`, with the layer and a remedy. `probe.py` proves each layer.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TypeVar

from sandbox import kernel, landlock, seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_Made = TypeVar("_Made")

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
CLOSE_RANGE: Final = 436
DESCRIPTOR_MAX: Final = 0xFFFFFFFF
CAPABILITY_VERSION_3: Final = 0x20080522
SECUREBITS: Final = 0xEF
"""Root's number means nothing, ids change no capabilities, none is kept or raised; and all of that is locked."""
OOM_SCORE: Final = "1000"
"""When memory is short, workers die first, and their zygote with them, not the daemon."""
NOBODY: Final = 65534

LIMITS: Final = {
    # The largest `memory_mib` and what a worker starts with; lowered when it is bound.
    resource.RLIMIT_AS: (16 + 1) * 1024**3,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_NICE: 0,
    # No descriptor beyond those it has: the limit is on the number of the next one.
    resource.RLIMIT_NOFILE: 0,
    # Counted for all processes of the user, checked when one of this process's is forked: 0 forbids forks, and no others'.
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_RTPRIO: 0,
    resource.RLIMIT_STACK: 8 * 1024**2,
}


class JailError(Exception):
    """A layer that must hold doesn't."""

    def __init__(self, layer: str, answer: str, remedy: str) -> None:
        super().__init__(f"{layer}: {answer}")
        self.layer = layer
        self.answer = answer
        self.remedy = remedy


@dataclass(slots=True)
class Jail:
    """What the steps share. `absent` are the layers that this host hasn't and the operator waived."""

    is_degraded_allowed: bool = False
    cgroups: tuple[str, ...] = ()
    """Directories of cgroups to join, one a hierarchy."""
    absent: dict[str, str] = field(default_factory=dict)
    """Layer → the kernel's answer."""
    keep: tuple[int, ...] = ()
    """Of a worker: the descriptors that stay open."""
    parent: int = 0
    """The process whose death ends this one."""
    user: int = 0
    """Who the workers are to the host."""


class Step(NamedTuple):
    """One item of the checklist. `take` raises `OSError` if the kernel refuses."""

    layer: str
    take: Callable[[Jail], None]


# --- Once, before the zygote is forked


def _scrub_environment(_jail: Jail) -> None:
    """It starts without one; whatever an interpreter's start adds goes too."""
    os.environ.clear()


def _raise_oom_score(_jail: Jail) -> None:
    Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, "ascii")


def _join_cgroups(jail: Jail) -> None:
    for folder in jail.cgroups:
        (Path(folder) / "cgroup.procs").write_text("0", "ascii")


def _become_nobody(jail: Jail) -> None:
    """Root's workers aren't root, inside or outside. Afterwards dumpable is set again, or /proc/self would be root's."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    jail.user = os.geteuid()


def _die_with_parent(jail: Jail) -> None:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != jail.parent:  # it died before the line above
        os._exit(0)


def _enter_namespaces(_jail: Jail) -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = 0
    for flag in NAMESPACES.values():
        flags |= flag
    kernel.call("unshare", flags)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, "ascii")


# --- Once, in the zygote


def _enter_empty_root(jail: Jail) -> None:
    """An empty, read-only file system for a root: no files, and no socket that has a path."""
    if "namespaces" in jail.absent:
        raise PermissionError(jail.absent["namespaces"])
    kernel.call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    kernel.call("mount", b"tmpfs", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, b"size=4k,mode=555")
    os.chdir("/tmp")  # noqa: S108  the new root
    kernel.syscall(PIVOT_ROOT[os.uname().machine], b".", b".")
    kernel.call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    kernel.call(
        "mount", None, b"/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, None
    )


def _lock_securebits(jail: Jail) -> None:
    if "namespaces" in jail.absent:
        raise PermissionError(jail.absent["namespaces"])
    kernel.prctl(kernel.PR_SET_SECUREBITS, SECUREBITS)


def _drop_capabilities(_jail: Jail) -> None:
    drop_capabilities()


def drop_capabilities() -> None:
    """Empty the bounding and ambient sets, then the permitted, effective and inheritable sets."""
    with contextlib.suppress(OSError):  # past the last one, or none to drop any with
        for capability in range(64):
            kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
    kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    kernel.call("capset", header, (ctypes.c_uint32 * 6)())


def _allow_no_new_privileges(_jail: Jail) -> None:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


def _forbid_dumps(_jail: Jail) -> None:
    """Nobody of the same user may trace it or read its memory. After whatever changes ids or capabilities."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


# --- In each worker


def _close_all_but_kept(jail: Jail) -> None:
    """Standard input and output included."""
    kept = sorted(jail.keep)
    for low, high in zip([-1, *kept], [*kept, DESCRIPTOR_MAX + 1], strict=True):
        if high - low > 1:
            kernel.syscall(CLOSE_RANGE, low + 1, high - 1, 0)
    os.umask(0o777)


def _restrict_by_landlock(_jail: Jail) -> None:
    landlock.restrict(landlock_abi())


def _lower_limits(_jail: Jail) -> None:
    for kind, most in LIMITS.items():
        hard = resource.getrlimit(kind)[1]
        lowest = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (lowest, lowest))


def _filter_calls(_jail: Jail) -> None:
    seccomp.install(program().of_process(os.getpid()))


LAUNCHER: Final = (
    Step("environment", _scrub_environment),
    Step("oom", _raise_oom_score),
    Step("cgroup", _join_cgroups),
    Step("ids", _become_nobody),
    Step("life", _die_with_parent),
    Step("namespaces", _enter_namespaces),
)
ZYGOTE: Final = (
    Step("life", _die_with_parent),
    Step("root", _enter_empty_root),
    Step("securebits", _lock_securebits),
    Step("capabilities", _drop_capabilities),
    Step("no_new_privs", _allow_no_new_privileges),
    Step("dumpable", _forbid_dumps),
)
WORKER_BEFORE_LOOP: Final = (Step("descriptors", _close_all_but_kept),)
"""Then the worker makes its event loop, whose descriptors the steps below leave open and allow no more of."""
WORKER: Final = (
    Step("life", _die_with_parent),
    Step("landlock", _restrict_by_landlock),
    Step("limits", _lower_limits),
    Step("seccomp", _filter_calls),
)

REMEDIES: Final = {
    "environment": "report it",
    "oom": "mount /proc writable for the daemon",
    "cgroup": "name cgroup directories whose cgroup.procs the daemon's user may write, in the setting `cgroups`",
    "ids": "start the daemon as an ordinary user, or as root with the capabilities to become one",
    "life": "report it",
    "namespaces": (
        "allow unprivileged user namespaces: kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0,"
        " kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile; in a container, a seccomp profile that"
        " allows unshare and mount; or waive them with --allow-degraded"
    ),
    "root": (
        "allow mounts in user namespaces: an AppArmor profile with `userns` and `mount`; in a container, a seccomp"
        " profile that allows mount, umount2 and pivot_root; or waive it with --allow-degraded"
    ),
    "securebits": "what `namespaces` needs",
    "capabilities": "report it",
    "no_new_privs": "a kernel from 3.5 on",
    "dumpable": "report it",
    "descriptors": "a kernel from 5.9 on",
    "landlock": (
        "a kernel from 5.13 on with landlock in its list of security modules (boot with lsm=landlock,…); in a container,"
        " a seccomp profile that allows the landlock calls"
    ),
    "limits": "in a container, a seccomp profile that allows prlimit64",
    "seccomp": "a kernel with CONFIG_SECCOMP_FILTER, on x86_64 or aarch64",
}
"""Layer → what to change on a host where it doesn't hold."""


# --- Taking the steps


@cache
def landlock_abi() -> int:
    """Asked once, in the zygote."""
    return landlock.abi()


@cache
def program() -> seccomp.Program:
    """Assembled once, in the zygote. Raises `OSError` on a machine that the table doesn't know."""
    try:
        return seccomp.assemble(os.uname().machine)
    except KeyError:
        raise OSError(f"no table of calls for {os.uname().machine}") from None


def may_be_absent(layer: str, jail: Jail) -> bool:
    """Whether the operator's waiver covers a layer: the empty root and Landlock stand in for each other, others for none."""
    if layer in {"namespaces", "securebits"}:
        return jail.is_degraded_allowed
    if layer == "root":
        return jail.is_degraded_allowed and landlock_abi() > 0
    if layer == "landlock":
        return jail.is_degraded_allowed and "root" not in jail.absent
    return layer == "oom"


def take(steps: Iterable[Step], jail: Jail) -> None:
    """Take them in order. Raises `JailError` at the first that the kernel refuses and no waiver covers."""
    for step in steps:
        if step.layer in jail.absent:
            continue
        try:
            step.take(jail)
        except OSError as error:
            if not may_be_absent(step.layer, jail):
                raise JailError(step.layer, str(error), REMEDIES[step.layer]) from None
            jail.absent[step.layer] = str(error)


def lock_worker(jail: Jail, make: Callable[[], _Made]) -> _Made:
    """Take the worker's steps. `make` makes what the later ones forbid to make, and is answered. Raises `JailError`."""
    take(WORKER_BEFORE_LOOP, jail)
    made = make()
    take(WORKER, jail)
    return made


def enter(control_fd: int, jail: Jail) -> None:
    """Take the launcher's steps, then fork: the child takes the zygote's, and returns as pid 1 of its namespace.

    The parent waits for it and never returns. What the host lacks and a waiver covers is in `jail.absent` afterwards.
    Raises `JailError`.
    """
    jail.parent = os.getppid()
    take(LAUNCHER, jail)
    launcher = os.getpid()
    child = os.fork()
    if child:
        os.close(control_fd)
        _wait_for(child)
    # Inside its own pid namespace a process whose parent is outside has parent 0.
    jail.parent = launcher if "namespaces" in jail.absent else 0
    take(ZYGOTE, jail)
    if not landlock_abi():
        if not may_be_absent("landlock", jail):
            raise JailError("landlock", "the kernel has none", REMEDIES["landlock"])
        jail.absent["landlock"] = "the kernel has none"
    with contextlib.suppress(OSError):  # on a machine that the table doesn't know the workers' step says so
        program()
    jail.parent = os.getpid()


def _wait_for(child: int) -> NoReturn:
    """Hold nothing, wait, and end as the child ended."""
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)

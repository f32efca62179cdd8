"""Landlock: a rule set that handles everything this kernel knows, and grants nothing.

It is the second layer behind the empty root: no file can be opened, no TCP port bound or connected, no process
outside signalled, no abstract socket reached. Rights that a kernel doesn't know are left out; what it then doesn't cover
stands in `COVERS`. Source of the numbers: `include/uapi/linux/landlock.h`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, Final

from sandbox import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

CREATE_RULESET: Final = 444
ADD_RULE: Final = 445
RESTRICT_SELF: Final = 446
"""The numbers are the same on every architecture."""
PATH_BENEATH: Final = 1
READ_FILE: Final = 1 << 2
VERSION_FLAG: Final = 1

FILE_RIGHTS: Final = ((1, 13), (2, 14), (3, 15), (5, 16))
"""(ABI, number of rights from bit 0): everything to do with files and directories; refer, truncate, device ioctl."""
NET_RIGHTS: Final = ((4, 0b11),)
"""TCP: bind, connect."""
SCOPES: Final = ((6, 0b11),)
"""Abstract Unix sockets and signals, each towards whoever is outside."""
COVERS: Final = ((1, "files"), (4, "TCP"), (6, "signals and abstract sockets"))


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


SIZES: Final = ((1, 8), (4, 16), (6, 24))
"""(ABI, bytes of the structure)."""


def _latest(table: tuple[tuple[int, int], ...], abi: int) -> int:
    return max((value for since, value in table if abi >= since), default=0)


def abi() -> int:
    """The kernel's version of the interface; 0 if it has no Landlock, or it is switched off."""
    try:
        return kernel.syscall(CREATE_RULESET, None, 0, VERSION_FLAG)
    except OSError:
        return 0


def covers(version: int) -> str:
    """What a version keeps away, in words."""
    return f"ABI {version}: {', '.join(what for since, what in COVERS if version >= since)}"


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # packed, as the kernel's is
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def restrict(version: int, *, readable: Iterable[str] = (), is_networked: bool = False) -> None:
    """From now on this process, which has `no_new_privs`, may do nothing that `version` knows. Raises `OSError`.

    But read the files `readable`, of which those that aren't there are left out, and use TCP if it `is_networked`.
    """
    network = 0 if is_networked else _latest(NET_RIGHTS, version)
    ruleset = _Ruleset((1 << _latest(FILE_RIGHTS, version)) - 1, network, _latest(SCOPES, version))
    fd = kernel.syscall(CREATE_RULESET, ctypes.byref(ruleset), _latest(SIZES, version), 0)
    try:
        for path in readable:
            with contextlib.suppress(FileNotFoundError):
                _grant(fd, path)
        kernel.syscall(RESTRICT_SELF, fd, 0)
    finally:
        os.close(fd)


def _grant(ruleset_fd: int, path: str) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(READ_FILE, fd)
        kernel.syscall(ADD_RULE, ruleset_fd, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(fd)

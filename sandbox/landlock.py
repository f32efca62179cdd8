"""Landlock: a rule set that handles everything this kernel knows, and grants nothing.

It is the second layer behind the empty root: no file can be opened, no TCP port bound or connected, no process
outside signalled, no abstract socket reached. Rights that a kernel doesn't know are left out; what it then doesn't cover
stands in `COVERS`. Source of the numbers: `include/uapi/linux/landlock.h`.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from sandbox import kernel

CREATE_RULESET: Final = 444
RESTRICT_SELF: Final = 446
"""Both numbers are the same on every architecture."""
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


def restrict(version: int) -> None:
    """From now on this process, which has `no_new_privs`, may do nothing that `version` knows. Raises `OSError`."""
    ruleset = _Ruleset(
        (1 << _latest(FILE_RIGHTS, version)) - 1, _latest(NET_RIGHTS, version), _latest(SCOPES, version)
    )
    fd = kernel.syscall(CREATE_RULESET, ctypes.byref(ruleset), _latest(SIZES, version), 0)
    try:
        kernel.syscall(RESTRICT_SELF, fd, 0)
    finally:
        os.close(fd)

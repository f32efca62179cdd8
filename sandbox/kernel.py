"""Kernel calls that Python has no function for, through the C library. Nothing is compiled, no other library is needed."""

from __future__ import annotations

import ctypes
import os
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_GET_PDEATHSIG: Final = 2
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_libc = ctypes.CDLL(None, use_errno=True)
_fork = ctypes.PyDLL(None, use_errno=True).fork
"""The child goes on with the interpreter's lock, as the parent does."""


def call(name: str, *arguments: object) -> int:
    """A function of the C library that answers -1 for an error; then raises `OSError`. Whole numbers travel as `long`."""
    wide = [ctypes.c_long(item) if type(item) is int else item for item in arguments]
    return _checked(getattr(_libc, name)(*wide))


def _checked(answer: int) -> int:
    if answer == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def prctl(option: int, *arguments: object) -> int:
    """`prctl` with zeros for what isn't given. Raises `OSError`."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    return call("prctl", option, *padded)


def syscall(number: int, *arguments: object) -> int:
    """A system call by its number on this machine. Raises `OSError`."""
    return call("syscall", number, *arguments)


def fork() -> int:
    """`fork` without what Python does in the child for threads, loggers and the module `random`. Raises `OSError`.

    For a process with one thread alone, and none of their locks held. What Python does there copies 0.6 MiB, page by page.
    """
    return _checked(_fork())

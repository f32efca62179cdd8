"""Programs that tests start, and that don't outlive them: not even where nobody gets to tidy up."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def spawn(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a program as `Popen` does; it is killed once this process has ended, whatever ended it.

    It holds the reading end of a pipe that nobody writes to. All that can happen to that is that the other end is
    closed, and then the kernel signals who is named here. `PR_SET_PDEATHSIG` would kill it when the thread ends that started it.
    """
    lifeline, ours = os.pipe()
    try:
        process: subprocess.Popen[Any] = subprocess.Popen(command, pass_fds=[lifeline], **options)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, process.pid)
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(lifeline)
    weakref.finalize(process, os.close, ours)
    return process

"""`engine serve` on a disk that can be made slow: a sync takes as many ms as the file `sync_delay_ms` says.

python tests/faults/daemon.py FOLDER serve …
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

import apsw

from engine.cli.main import run

DELAY = "sync_delay_ms"
BASE = "unix"
"""SQLite's own way to files."""


class SlowFile(apsw.VFSFile):
    """A file whose syncs take their time."""

    def __init__(self, name: object, flags: list[int], delay: Path) -> None:
        super().__init__(BASE, name, flags)  # type: ignore[arg-type]  # apsw's own name of a file, passed through
        self._delay = delay

    def xSync(self, flags: int) -> None:  # noqa: N802  SQLite's name
        with contextlib.suppress(OSError, ValueError):
            time.sleep(int(self._delay.read_text()) / 1000)
        super().xSync(flags)


class SlowDisk(apsw.VFS):
    """SQLite's files, each a `SlowFile`."""

    def __init__(self, delay: Path) -> None:
        self._delay = delay
        super().__init__("slow", BASE, makedefault=True)

    def xOpen(self, name: object, flags: list[int]) -> SlowFile:  # noqa: N802  SQLite's name
        return SlowFile(name, flags, self._delay)


if __name__ == "__main__":
    disk = SlowDisk(Path(sys.argv.pop(1)) / DELAY)
    sys.exit(run())

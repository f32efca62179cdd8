"""The file `clock` in the data directory: what the time was, for the next start. See `clock.resume_ms`."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.clock import Mark, SteadyClock, SystemClock, resume_ms

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

KEEP_EVERY_S: Final = 600.0
"""A power cut loses so much of it: no more than that a clock that is set back at the next start can delay retries."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def open_clock(path: Path) -> SteadyClock:
    """The engine's clock, which goes on where the last daemon's stood."""
    source = SystemClock()
    return SteadyClock(source, start_ms=resume_ms(source.now_ms(), _boot_id(), _boot_ms(), _read(path)))


@contextlib.contextmanager
def kept(path: Path, loop: asyncio.AbstractEventLoop) -> Iterator[SteadyClock]:
    """The engine's clock, marked at the start, now and then, and at the end."""
    clock = open_clock(path)
    timer: asyncio.TimerHandle | None = None

    def mark() -> None:
        nonlocal timer
        keep(path, clock)
        timer = loop.call_later(KEEP_EVERY_S, mark)

    mark()
    try:
        yield clock
    finally:
        if timer is not None:
            timer.cancel()
        keep(path, clock)


def keep(path: Path, clock: SteadyClock) -> None:
    """Write what the time is now. It may fail: the next start then has an older mark."""
    mark = Mark(clock.now_ms(), _boot_id(), _boot_ms())
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_text(json.dumps(asdict(mark)), encoding="utf-8")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> Mark | None:
    try:
        mark = Mark(**json.loads(path.read_text("utf-8")))
        return mark if (type(mark.now_ms), type(mark.boot_ms)) == (int, int) else None
    except (OSError, ValueError, TypeError):
        return None


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return f"unknown-{os.getpid()}"


def _boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

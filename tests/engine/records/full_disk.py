"""Fills a small file system of its own, and prints what the records on it did. Runs in a mount namespace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.clock import SystemClock
from engine.records import spans
from engine.records.attempts import Attempt
from engine.records.records import Records
from engine.records.retention import Bounds


async def main(folder: Path) -> dict[str, object]:
    clock = SystemClock()
    records = Records(folder / "records.db", bounds=Bounds(), clock=clock, loop=asyncio.get_running_loop())
    record = records.of(1)
    await records.start()
    seen: dict[str, object] = {}
    told = 0
    ballast = folder / "ballast"
    for number in range(200):
        record.count("bad_request", 1)
        record.add(Attempt(clock.now_ms(), 1, f"1.{number}", 1, 1, "bad_request", b"x" * 60_000))
        told += 1
        if number == 50:
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"b" * 4096) == 4096:
                    pass
        today = await records.today(1)
        if records.failure:
            seen["reason"] = records.failure
            seen["read_while_full"] = today["bad_request"] > 0
    seen["counted_meanwhile"] = record.totals["bad_request"] == told
    ballast.unlink()
    today = await records.today(1)
    seen["counted_after_room"] = today["bad_request"] == told
    stats = await records.stats()
    seen["lost"] = told - int(stats["attempts"]) - record.totals[spans.ATTEMPTS_DROPPED]
    seen["dropped"] = record.totals[spans.ATTEMPTS_DROPPED]
    await records.close()
    return seen


with tempfile.TemporaryDirectory() as mounted:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", mounted], check=True)
    try:
        sys.stdout.write(json.dumps(asyncio.run(main(Path(mounted)))) + "\n")
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=False)

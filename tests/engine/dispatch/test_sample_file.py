"""Samples beyond a restart."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import msgpack
import pytest

from engine.dispatch import sample_file
from engine.dispatch.sample_file import SampleFile
from engine.dispatch.samples import Samples
from engine.events import encode_events

if TYPE_CHECKING:
    from pathlib import Path


def filled(*numbers: int, kept: int = 5) -> Samples:
    samples = Samples(kept)
    if numbers:
        samples.keep(encode_events([{"type": "track", "messageId": str(number)} for number in numbers]))
    return samples


def ids(samples: Samples) -> list[str]:
    return [msgpack.unpackb(body)["messageId"] for body in samples.bodies()]


def saved(path: Path, sources: dict[int, Samples]) -> None:
    file = SampleFile(path, lambda: sources)
    asyncio.run(file.save())


def test_a_restart_finds_what_was_kept_of_the_sources_that_are_still_there(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    saved(path, {1: filled(1, 2, 3), 2: filled(9)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    restored = {1: filled(kept=2), 3: filled()}
    SampleFile(path, lambda: restored).load()
    assert (ids(restored[1]), ids(restored[3])) == (["2", "3"], [])


def test_the_file_is_written_only_when_something_has_changed(tmp_path: Path) -> None:
    path, sources = tmp_path / "samples", {1: filled(1)}
    file = SampleFile(path, lambda: sources)

    async def run() -> None:
        await file.save()
        path.unlink()
        await file.save()
        assert not path.exists()
        sources[1].keep(encode_events([{"type": "page"}]))
        await file.save()
        assert path.exists()

    asyncio.run(run())


def test_a_removed_source_leaves_nothing_behind(tmp_path: Path) -> None:
    path, sources = tmp_path / "samples", {1: filled(1234567), 2: filled(7654321)}
    file = SampleFile(path, lambda: sources)

    async def run() -> None:
        await file.save()
        del sources[1]
        await file.save()

    asyncio.run(run())
    assert b"1234567" not in path.read_bytes()
    assert b"7654321" in path.read_bytes()


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_file, "BYTES_MAX", 60)
    path = tmp_path / "samples"
    saved(path, {number: filled(number) for number in range(10)})
    assert 0 < len(sample_file.read(path)) < 10


@pytest.mark.parametrize(
    "held", [b"", b"\xc1", msgpack.packb([1]), msgpack.packb({1: 2}), msgpack.packb({1: {"x": [1]}})]
)
def test_a_file_that_can_not_be_read_is_none(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "samples").write_bytes(held)
    sources = {1: filled()}
    SampleFile(tmp_path / "samples", lambda: sources).load()
    assert ids(sources[1]) == []


def test_a_file_that_can_not_be_written_disturbs_nobody(tmp_path: Path) -> None:
    saved(tmp_path / "nowhere" / "samples", {1: filled(1)})

"""Samples beyond a restart: a file beside the journal, written anew now and then. It may be lost; a kill loses the last seconds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from typing import TYPE_CHECKING, Final, TypeAlias

import msgpack
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.dispatch.samples import Samples

log = structlog.get_logger()

SAVE_EVERY_S: Final = 10.0
BYTES_MAX: Final = 64 << 20
"""Of events in the file; sources beyond begin anew after a restart."""
Snapshot: TypeAlias = dict[int, dict[int, list[bytes]]]
"""Source id → number of the event type → events, msgpack, in the order in which they came."""


class SampleFile:
    """Owner of the file."""

    def __init__(self, path: Path, samples: Callable[[], dict[int, Samples]]) -> None:
        """`samples`: source id → what is kept of it, of all sources that there are."""
        self._path = path
        self._samples = samples
        self._saved: set[int] = set()
        self._writing: asyncio.Future[None] | None = None

    def load(self) -> None:
        """Give each source what it sent before the restart."""
        sources = self._samples()
        for source_id, by_type in read(self._path).items():
            if source_id in sources:
                sources[source_id].restore(by_type)
        self._saved = set(sources)

    async def keep_saving(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Write the file if anything has changed; in a thread, so that nobody waits for the disk."""
        if self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])
        sources = self._samples()
        if sources.keys() == self._saved and not any(each.is_changed for each in sources.values()):
            return
        self._saved = set(sources)
        snapshot = {source_id: each.take() for source_id, each in sources.items()}
        # A future of its own, so that who cancels `keep_saving` doesn't leave two writers behind.
        self._writing = asyncio.ensure_future(asyncio.to_thread(write, self._path, snapshot))
        await asyncio.shield(self._writing)


def read(path: Path) -> Snapshot:
    """What the file holds; nothing if it can't be read."""
    try:
        held = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
        return {
            int(source_id): {int(kind): [bytes(body) for body in bodies] for kind, bodies in by_type.items()}
            for source_id, by_type in held.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("samples_not_read", path=str(path), reason=type(error).__name__)
        return {}


def write(path: Path, snapshot: Snapshot) -> None:
    """Replace the file. It may fail: the next time writes it again."""
    sizes = [
        sum(len(body) for bodies in by_type.values() for body in bodies) for by_type in snapshot.values()
    ]
    fitting = [total <= BYTES_MAX for total in itertools.accumulate(sizes)]
    held = {source_id: snapshot[source_id] for source_id, fits in zip(snapshot, fitting, strict=True) if fits}
    draft = path.with_name(f"{path.name}.new")
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(msgpack.packb(held))
        draft.replace(path)
    except OSError as error:
        log.warning("samples_not_written", path=str(path), reason=str(error))
        with contextlib.suppress(OSError):
            draft.unlink()

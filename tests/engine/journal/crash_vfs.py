"""A disk that remembers every write, so that it can be shown as a power cut at any moment might have left it.

What was written before a file's last sync is there. Of what was written after it, each sector is there or not, as
chance has it: disks write in any order. A file that was made is there if its folder was synced, or by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import apsw

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

SECTOR_BYTES = 512
_NAME = "remembering"


@dataclass(frozen=True, slots=True)
class Operation:
    """`what` is write, truncate, sync, delete or lose (a sync failed); of one file."""

    what: str
    name: str
    offset: int = 0
    data: bytes = b""


class RememberingDisk(apsw.VFS):
    """The Unix file system as SQLite sees it, while it is open; `operations` is what it did."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.failing_syncs = 0
        super().__init__(_NAME, "unix", makedefault=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's
        super().xDelete(filename, syncdir)
        self.operations.append(Operation("delete", Path(filename).name))

    def folder_was_synced(self) -> None:
        """What was deleted before is gone for good."""
        for name in sorted({operation.name for operation in self.operations}):
            if [operation.what for operation in self.operations if operation.name == name][-1] == "delete":
                self.operations.append(Operation("sync", name))

    def after(self, count: int, folder: Path, rng: random.Random) -> None:
        """Write to `folder` what may be left if the power goes after `count` operations."""
        folder.mkdir()
        for name, content in self._left(self.operations[:count], rng):
            (folder / name).write_bytes(content)

    def _left(self, operations: list[Operation], rng: random.Random) -> Iterator[tuple[str, bytes]]:
        for name in sorted({operation.name for operation in operations}):
            own = [operation for operation in operations if operation.name == name]
            synced = max((at for at, operation in enumerate(own) if operation.what == "sync"), default=-1)
            content: bytearray | None = None
            durable: bytearray | None = None
            for at, operation in enumerate(own):
                if operation.what == "sync":
                    durable = None if content is None else bytearray(content)
                elif operation.what == "lose":
                    # The kernel reports it once, and takes the pages for clean: they never reach the disk.
                    content = None if durable is None else bytearray(durable)
                else:
                    content = _apply(content, operation, None if at <= synced else rng)
            if content is not None:
                yield name, bytes(content)


def _apply(content: bytearray | None, operation: Operation, rng: random.Random | None) -> bytearray | None:
    if operation.what == "delete":
        return None if rng is None or rng.random() < 0.5 else content
    if content is None:
        content = bytearray()
    if operation.what == "truncate":
        if rng is None or rng.random() < 0.5:
            del content[operation.offset :]
    elif operation.what == "write":
        is_lost = rng is not None and rng.random() < 0.3
        for start in range(0, len(operation.data), SECTOR_BYTES):
            if is_lost or (rng is not None and rng.random() < 0.3):
                continue
            part = operation.data[start : start + SECTOR_BYTES]
            offset = operation.offset + start
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(part)] = part
    return content


class _File(apsw.VFSFile):
    def __init__(self, disk: RememberingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary").name
        super().__init__("unix", name, flags)

    def _note(self, what: str, offset: int = 0, data: bytes = b"") -> None:
        self._disk.operations.append(Operation(what, self._name, offset, data))

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's
        super().xWrite(data, offset)
        self._note("write", offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's
        super().xTruncate(newsize)
        self._note("truncate", newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's
        if self._disk.failing_syncs:
            self._disk.failing_syncs -= 1
            self._note("lose")
            raise apsw.IOError("the disk didn't take it")
        super().xSync(flags)
        self._note("sync")

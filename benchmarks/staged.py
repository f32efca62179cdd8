"""`python -m benchmarks.staged serve …`: a daemon that notes when events pass its stages, for `stages` alone.

Each note is a time and how many events have passed by then, so that what joins submits into chunks and frames doesn't matter: with one
destination and one worker, events keep their order. The notes are written to the file that `STAGES_FILE` names when the daemon ends.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.__main__ import main
from engine.dispatch.core import Core
from engine.dispatch.settling import Settler
from engine.journal.requests import Append
from engine.journal.writer import Writer
from engine.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

STAGES: Final = ("received", "begun", "durable", "given", "ended")
STAGES_FILE: Final = "BENCHMARK_STAGES_FILE"

_notes: dict[str, list[tuple[float, int]]] = {stage: [] for stage in STAGES}
_passed: dict[str, int] = dict.fromkeys(STAGES, 0)


def _note(stage: str, count: int) -> None:
    _passed[stage] += count
    _notes[stage].append((time.perf_counter(), _passed[stage]))


def _before(owner: type, name: str, stage: str, count: Callable[..., int]) -> None:
    """Note a stage whenever a method of `owner` is called."""
    method = getattr(owner, name)

    def noting(*arguments: Any, **options: Any) -> Any:
        _note(stage, count(*arguments))
        return method(*arguments, **options)

    setattr(owner, name, noting)


def _around_commits() -> None:
    commit = Writer._commit  # noqa: SLF001  no other place knows when a commit begins

    def noting(writer: Writer, requests: list[Any], *arguments: Any) -> None:
        count = sum(len(lease.chunk) for one in requests if isinstance(one, Append) for lease in one.leases)
        _note("begun", count)
        commit(writer, requests, *arguments)
        _note("durable", count)

    Writer._commit = noting  # type: ignore[method-assign,assignment]  # noqa: SLF001  as above


def _write() -> None:
    Path(os.environ[STAGES_FILE]).write_text(json.dumps(_notes), "utf-8")


if __name__ == "__main__":
    _before(Core, "submit", "received", lambda _core, _name, events, *_: len(events.sizes))
    _around_commits()
    _before(Worker, "send", "given", lambda _worker, runs, *_: sum(map(len, runs)))
    _before(Settler, "delivered", "ended", lambda _settler, _work, _start, count, *_: count)
    atexit.register(_write)
    main()

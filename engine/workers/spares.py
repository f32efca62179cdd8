"""Spares of one kind, ahead of need: the zygotes they come from, those that were asked for, those that are ready.

There are two kinds: plain ones, and those whose zygote has loaded the libraries that the operator allows. Functions that
import none never meet the second kind, and its zygote isn't started before the first function that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.workers.states import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.workers.generations import Generations
    from engine.workers.worker import Worker


class Spares:
    """Owner of a kind's zygotes."""

    def __init__(
        self,
        generations: Generations,
        *,
        workers: Mapping[int, Worker],
        next_id: Callable[[], int],
        wanted: Callable[[], int],
    ) -> None:
        """`workers` are all there are, of any kind; `wanted` says how many spares to keep."""
        self.generations = generations
        self._workers = workers
        self._next_id = next_id
        self._wanted = wanted
        self._requested: set[int] = set()

    def ready(self) -> Iterator[Worker]:
        """Those that can be bound at once."""
        return (
            worker
            for worker in self._workers.values()
            if worker.state is WorkerState.SPARE and worker.is_ready and self.generations.owns(worker.id)
        )

    def best(self) -> Worker | None:
        """The one to bind next: of the newest zygote, if it has one."""
        return max(self.ready(), key=lambda worker: self.generations.is_current(worker.id), default=None)

    def refill(self) -> None:
        """Ask for as many as are missing."""
        if not self.generations.is_serving:
            return
        forked = (worker.id for worker in self._workers.values() if worker.state is WorkerState.SPARE)
        there = sum(map(self.generations.is_current, [*forked, *self._requested]))
        for _ in range(self._wanted() - there):
            worker_id = self._next_id()
            self._requested.add(worker_id)
            self.generations.request_fork(worker_id)

    def arrived(self, worker_id: int) -> None:
        """It was forked, or can't be."""
        self._requested.discard(worker_id)

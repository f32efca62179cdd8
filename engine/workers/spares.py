"""Spares of one kind, ahead of need: the zygotes they come from, those that were asked for, those that are ready.

There are two kinds: plain ones, and those whose zygote has loaded the libraries that the operator allows. Functions that
import none never meet the second kind, and its zygote isn't started before the first function that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.workers.states import WorkerState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

    from engine.workers.generations import Generations
    from engine.workers.worker import Worker

REFILL_AFTER_S: Final = 0.005
"""From when a spare was taken: by then it has ended its first event, and a fork doesn't take the processor from it."""


class Spares:
    """Owner of a kind's zygotes."""

    def __init__(
        self,
        generations: Generations,
        *,
        workers: Mapping[int, Worker],
        next_id: Callable[[], int],
        wanted: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`workers` are all there are, of any kind; `wanted` says how many spares to keep."""
        self.generations = generations
        self._workers = workers
        self._next_id = next_id
        self._wanted = wanted
        self._loop = loop
        self._requested: set[int] = set()
        self._refilling: asyncio.TimerHandle | None = None

    def ready(self) -> Iterator[Worker]:
        """Those that can be bound at once."""
        return (
            worker
            for worker in self._workers.values()
            if worker.state is WorkerState.SPARE and worker.is_ready and self.generations.owns(worker.id)
        )

    def take(self) -> Worker | None:
        """The one to bind next, of the newest zygote if it has one; others are asked for soon, after the last one at once."""
        ready = list(self.ready())
        if not ready:
            return None
        if self._refilling is not None:
            self._refilling.cancel()
        self._refilling = self._loop.call_later(REFILL_AFTER_S if ready[1:] else 0, self.refill)
        return max(ready, key=lambda worker: self.generations.is_current(worker.id))

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

    async def stop(self) -> None:
        """End the zygotes, and with them all workers."""
        if self._refilling is not None:
            self._refilling.cancel()
        await self.generations.stop()

"""`asyncio` as handlers use it. Tasks, futures and the loop stay out of reach: they lead to stacks and frames.

What an invocation starts belongs to it (`runtime.ending` makes the tasks), and is cancelled when it ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

from sandbox.runtime.ending import first_ending, is_ending, is_over

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine
    from types import TracebackType


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def gather(*awaitables: Awaitable[Any], return_exceptions: bool = False) -> list[Any]:
    """Run them together; their results in order. What still runs when one raises is cancelled."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(_await(awaitable)) for awaitable in awaitables]
    try:
        results = list(await asyncio.gather(*tasks, return_exceptions=return_exceptions))
    finally:
        for task in tasks:
            task.cancel()
    for result in results:
        ending = first_ending(result) if isinstance(result, BaseException) else None
        if ending is not None:  # never a mere result
            raise ending
    return results


async def sleep(delay: float, result: Any = None) -> Any:
    """Let others run for `delay` seconds."""
    return await asyncio.sleep(delay, result)


async def wait_for(awaitable: Awaitable[Any], timeout: float | None) -> Any:  # noqa: ASYNC109  the library's signature
    """The result, or `TimeoutError` after `timeout` seconds."""
    return await asyncio.wait_for(awaitable, timeout)


class Handle:
    """What `TaskGroup.create_task` returns: result, done, cancel, and it can be awaited."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task

    def result(self) -> Any:
        """Its result; raises what it raised."""
        return self._task.result()

    def done(self) -> bool:
        """It has ended."""
        return self._task.done()

    def cancel(self) -> bool:
        """Ask it to end."""
        return self._task.cancel()

    def __await__(self) -> Any:
        return _await(self._task).__await__()


class TaskGroup:
    """`async with asyncio.TaskGroup() as group: group.create_task(…)`."""

    __slots__ = ("_group",)

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            ending = error if is_ending(error) else first_ending(group)
            if ending is None and is_over():  # the cancellation, in whose place the group stands
                ending = asyncio.CancelledError()
            if ending is None:
                raise
            raise ending from None  # inside a group no `except` of the author would let it pass

    def create_task(self, coroutine: Coroutine[Any, Any, Any], *, name: str | None = None) -> Handle:
        """Start it; the group waits for it."""
        del name
        return Handle(self._group.create_task(coroutine))


NAMES: Final[dict[str, Any]] = {
    "gather": gather,
    "sleep": sleep,
    "wait_for": wait_for,
    "TaskGroup": TaskGroup,
}

"""What ends an invocation, told from errors that its author may catch.

That is `Fatal`, and the cancellation of a task whose invocation is over: late, or ended while the task still ran. Neither
may be held back by a `try`, a `finally`, a context manager or a task group; the compiler and the facades ask here.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final

from sandbox.runtime.context import CURRENT
from sandbox.runtime.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Iterator

_OVER: Final[set[asyncio.Task[Any]]] = set()
"""Tasks that were cancelled because their invocation is over. Empty nearly always, which is what makes asking cheap."""

# --- Tasks


def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task for good: what it catches, it catches no more."""
    if not task.done():
        if task not in _OVER:
            _OVER.add(task)
            task.add_done_callback(_OVER.discard)
        task.cancel()


def end_again() -> bool:
    """Cancel those anew that wait while they clean up; are there any left?"""
    for task in list(_OVER):
        task.cancel()
    return bool(_OVER)


def is_over() -> bool:
    """Does code run now whose invocation is over?"""
    return bool(_OVER) and _task() in _OVER


def revive_task(task: asyncio.Task[Any]) -> None:
    """The task goes on with another invocation."""
    _OVER.discard(task)
    while task.cancelling():
        task.uncancel()


def child_task(loop: asyncio.AbstractEventLoop, awaitable: Any, **options: Any) -> asyncio.Task[Any]:
    """The loop's task factory: whatever starts a task while an async invocation runs, the task belongs to that."""
    task: asyncio.Task[Any] = asyncio.Task(_contained(awaitable), loop=loop, **options)
    invocation = CURRENT.get()
    if invocation is not None and invocation.is_async:
        invocation.children.add(task)
        task.add_done_callback(invocation.children.discard)
    return task


def finish_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """The finalizer of async generators: one that is dropped cleans up in a task of the invocation that drops it.

    The loop's own makes the task some time later, when another invocation may run.
    """
    with contextlib.suppress(RuntimeError):  # the loop isn't running any more
        asyncio.get_running_loop().create_task(generator.aclose())


async def _contained(awaitable: Awaitable[Any]) -> Any:
    """These two would leave a task by way of the loop, and take the worker with them."""
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"a task ended with {type(error).__name__}") from error


# --- Errors


def is_ending(error: object) -> bool:
    """Does it end an invocation?"""
    return isinstance(error, Fatal) or (isinstance(error, asyncio.CancelledError) and is_over())


def _task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # the loop isn't running
        return None


def first_ending(error: BaseException) -> BaseException | None:
    """The error itself, or the first within its groups, that ends an invocation."""
    waiting = [error]
    while waiting:
        found = waiting.pop()
        if is_ending(found):
            return found
        waiting.extend(reversed(members(found)))
    return None


def members(error: BaseException) -> tuple[BaseException, ...]:
    """The errors of a group: those it was made of, not those that a subclass of its author's shows."""
    if not isinstance(error, BaseExceptionGroup):
        return ()
    found: tuple[BaseException, ...] = BaseExceptionGroup.exceptions.__get__(error)
    return found


def _covered(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__context__


# --- What compiled code asks


def endings() -> type[BaseException] | tuple[type[BaseException], ...]:
    """`except <endings>(): raise`, first in every `try` of a function."""
    return (Fatal, asyncio.CancelledError) if is_over() else Fatal


def covering() -> type[BaseException] | tuple[()]:
    """`except <covering>(): raise <covered>()`, around every `finally`: an error raised there would replace the ending."""
    return BaseException if any(is_ending(error) for error in _covered(sys.exception())) else ()


def covered() -> BaseException:
    """The ending that the error being handled would have replaced."""
    return next(error for error in _covered(sys.exception()) if is_ending(error))

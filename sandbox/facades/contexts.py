"""`contextlib` that holds no deadline back: what ends an invocation passes every context manager.

A generator that is made into one may be no generator (`def f(): return Iterator()`, whose `throw` does as it likes), and
callbacks of a stack may say yes, or raise something else. So each asks what came in, whatever came out.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, Final

from sandbox.runtime.ending import is_ending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType


class suppress:  # noqa: N801  the library's name
    """`contextlib.suppress(*exceptions)`."""

    def __init__(self, *exceptions: type[BaseException]) -> None:
        self.exceptions = exceptions

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _tb: TracebackType | None
    ) -> bool:
        return kind is not None and issubclass(kind, self.exceptions) and not is_ending(error)


def _leave(
    leave: Callable[..., bool | None],
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> bool:
    is_over = is_ending(error)
    try:
        answer = leave(kind, error, traceback)
    except BaseException:
        if not is_over:
            raise
        return False
    return bool(answer) and not is_over


async def _leave_async(
    leave: Callable[..., Awaitable[bool | None]],
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> bool:
    is_over = is_ending(error)
    try:
        answer = await leave(kind, error, traceback)
    except BaseException:
        if not is_over:
            raise
        return False
    return bool(answer) and not is_over


class ExitStack(contextlib.ExitStack):
    """`contextlib.ExitStack`."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return _leave(super().__exit__, kind, error, traceback)


class AsyncExitStack(contextlib.AsyncExitStack):
    """`contextlib.AsyncExitStack`."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return await _leave_async(super().__aexit__, kind, error, traceback)


class _Manager(contextlib._GeneratorContextManager[Any]):  # noqa: SLF001  what `contextmanager` makes
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return _leave(super().__exit__, kind, error, traceback)


class _AsyncManager(contextlib._AsyncGeneratorContextManager[Any]):  # noqa: SLF001  what `asynccontextmanager` makes
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return await _leave_async(super().__aexit__, kind, error, traceback)


def contextmanager(func: Callable[..., Any]) -> Callable[..., Any]:
    """`contextlib.contextmanager`."""

    @functools.wraps(func)
    def make(*args: Any, **kwargs: Any) -> _Manager:
        return _Manager(func, args, kwargs)

    return make


def asynccontextmanager(func: Callable[..., Any]) -> Callable[..., Any]:
    """`contextlib.asynccontextmanager`."""

    @functools.wraps(func)
    def make(*args: Any, **kwargs: Any) -> _AsyncManager:
        return _AsyncManager(func, args, kwargs)

    return make


NAMES: Final[dict[str, Any]] = {
    "suppress": suppress,
    "ExitStack": ExitStack,
    "AsyncExitStack": AsyncExitStack,
    "contextmanager": contextmanager,
    "asynccontextmanager": asynccontextmanager,
}

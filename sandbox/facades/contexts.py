"""`contextlib` that holds no deadline back: what ends an invocation passes every context manager."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from sandbox.runtime.errors import Fatal

if TYPE_CHECKING:
    from types import TracebackType


class suppress:  # noqa: N801  the library's name
    """`contextlib.suppress(*exceptions)`."""

    def __init__(self, *exceptions: type[BaseException]) -> None:
        self.exceptions = exceptions

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> bool:
        return kind is not None and issubclass(kind, self.exceptions) and not issubclass(kind, Fatal)


class ExitStack(contextlib.ExitStack):
    """`contextlib.ExitStack`."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        answer = super().__exit__(kind, error, traceback)
        return bool(answer) and not isinstance(error, Fatal)


class AsyncExitStack(contextlib.AsyncExitStack):
    """`contextlib.AsyncExitStack`."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        answer = await super().__aexit__(kind, error, traceback)
        return bool(answer) and not isinstance(error, Fatal)


NAMES: Final[dict[str, Any]] = {
    "suppress": suppress,
    "ExitStack": ExitStack,
    "AsyncExitStack": AsyncExitStack,
}

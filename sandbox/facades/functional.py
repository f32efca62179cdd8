"""`functools.wraps` that copies a fixed set of names, and `contextlib.suppress` that holds no deadline back."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from sandbox.runtime.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


def wraps(wrapped: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`functools.wraps(fn)`; which names are copied isn't the caller's choice."""
    return functools.wraps(wrapped)


class suppress:  # noqa: N801  the library's name
    """`contextlib.suppress(*exceptions)`."""

    def __init__(self, *exceptions: type[BaseException]) -> None:
        self.exceptions = exceptions

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> bool:
        return (
            kind is not None
            and issubclass(kind, self.exceptions)
            and not issubclass(kind, (Fatal, asyncio.CancelledError))
        )

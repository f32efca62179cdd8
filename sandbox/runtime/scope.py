"""What a worker offers its function without an import, and what of it lasts from one invocation to the next."""

from __future__ import annotations

from sandbox.runtime import cache, console
from sandbox.runtime.errors import (
    DropEvent,
    EventNotSupported,
    InvalidEventPayload,
    RetryError,
    ValidationError,
)
from sandbox.runtime.fetch import fetch


class Scope:
    """Owner of what stands behind the names: made once a worker, after the fork."""

    def __init__(self) -> None:
        self._cache = cache.Cache()

    def names(self) -> dict[str, object]:
        """The names a module has without importing them."""
        return {
            "fetch": fetch,
            "cache": self._cache,
            "console": console.Console(),
            "print": console.print_line,
            "EventNotSupported": EventNotSupported,
            "InvalidEventPayload": InvalidEventPayload,
            "ValidationError": ValidationError,
            "RetryError": RetryError,
            "DropEvent": DropEvent,
        }

    def clear(self) -> None:
        """Forget what was kept: the worker is suspended, or memory is short."""
        cache.clear(self._cache)

"""What a worker offers its function without an import, and what of it lasts from one invocation to the next."""

from __future__ import annotations

from sandbox.runtime import cache, console, errors
from sandbox.runtime.fetch import fetch

ERRORS = (
    *("EventNotSupported", "InvalidEventPayload", "ValidationError", "RetryError", "DropEvent"),
    *(
        "FetchError",
        "FetchTimeout",
        "ConnectionFailed",
        "AddressRefused",
        "ResponseTooLarge",
        "TooManyRequests",
    ),
    "HTTPStatusError",
)
"""Classes of `sandbox.runtime.errors` that a function may name."""


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
            **{name: getattr(errors, name) for name in ERRORS},
        }

    def clear(self) -> None:
        """Forget what was kept: the worker is suspended, or memory is short."""
        cache.clear(self._cache)

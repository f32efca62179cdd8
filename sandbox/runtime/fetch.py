"""`fetch`: not there yet; the name is taken, and says so."""

from __future__ import annotations

from typing import Any, NoReturn


class FetchUnavailableError(RuntimeError):
    """`fetch` was called."""


def fetch(*_args: Any, **_options: Any) -> NoReturn:
    """Raise: functions can't make HTTP calls in this version."""
    raise FetchUnavailableError(
        "fetch is not available yet: this version of the engine makes no HTTP calls; return or log what you would send"
    )

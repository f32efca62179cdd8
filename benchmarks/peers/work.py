"""The work that all contestants do: the reference handler on the reference events, as plain Python."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS: Final = SimpleNamespace(**REFERENCE_SETTINGS)
_MODULE: Final[dict[str, Any]] = {}
exec(compile(REFERENCE_SOURCE, "function.py", "exec"), _MODULE)
on_track: Final = cast("Callable[[dict[str, Any], Any], object]", _MODULE["on_track"])


def handle(event: dict[str, Any]) -> int:
    """Call it; an outcome is what comes back, as with the engine, and not what it returned."""
    on_track(event, SETTINGS)
    return 0

"""What is counted of a destination's HTTP: by the egress as it happens, told to the supervisor once a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "failed")
"""Of responses, by status; and of fetches that had none, or not all of one."""
_FAILED: Final = CLASSES.index("failed")
_CLASSES_AT: Final = 3
_MAX: Final = 1 << 40
"""More than anything grows in a second: what is added up of it stays within 64 bits."""
_ROW: Final = _CLASSES_AT + len(CLASSES)


class Calls(NamedTuple):
    """HTTP of one destination since the last time."""

    fetches: int
    sent_bytes: int
    """Of requests' bodies."""
    received_bytes: int
    """Of responses' bodies, decoded."""
    responses: dict[str, int]
    """Of `CLASSES`, those that occurred. Each response of a redirect counts."""


class Counter:
    """What has been counted and not told yet."""

    __slots__ = ("_row",)

    def __init__(self) -> None:
        self._row = [0] * _ROW

    def __bool__(self) -> bool:
        return any(self._row)

    def response(self, status: int) -> None:
        """One has come."""
        at = status // 100 - 1
        if 0 <= at < _FAILED:
            self._row[_CLASSES_AT + at] += 1

    def ended(self, *, sent_bytes: int, received_bytes: int, has_failed: bool) -> None:
        """A fetch is over."""
        row = self._row
        row[0] += 1
        row[1] += sent_bytes
        row[2] += received_bytes
        row[_CLASSES_AT + _FAILED] += has_failed

    def take(self) -> list[int]:
        """All of it, as `calls_of` reads it; from now on nothing is counted."""
        row, self._row = self._row, [0] * _ROW
        return row


def calls_of(row: Sequence[int]) -> Calls:
    """What `Counter.take` gave. Raises `ValueError` on anything else: it comes from a process that strangers talk to."""
    if len(row) != _ROW or not {int}.issuperset(map(type, row)) or not 0 <= min(row) <= max(row) < _MAX:
        raise ValueError("not what an egress counts")
    classes = zip(CLASSES, row[_CLASSES_AT:], strict=True)
    return Calls(row[0], row[1], row[2], {name: number for name, number in classes if number})

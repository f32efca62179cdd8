"""Pages of a list that is sorted by name. Pure.

A cursor says with which name a page begins, so that what is added or removed meanwhile shifts nothing. One client sends
`pagination={"count": 2}`, another `pagination[count]=2`, a third `pagination.count=2`.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.gateway.public_api.refusals import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COUNT: Final = 10
COUNT_MAX: Final = 1_000
_CURSOR_CHARS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted."""

    count: int = COUNT
    first: str = ""
    """The name that it begins with, or the next there is."""


def page_of(query: Mapping[str, str]) -> Page:
    """Raises `Invalid`."""
    count: Any = None
    cursor: Any = None
    if "pagination" in query:
        try:
            given = json.loads(query["pagination"])
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise Invalid("pagination is no JSON object", field="pagination")
        count, cursor = given.pop("count", None), given.pop("cursor", None)
        if given:
            raise Invalid("pagination has count and cursor, no more", field="pagination")
    for form in ("pagination[{}]", "pagination.{}"):
        count = query.get(form.format("count"), count)
        cursor = query.get(form.format("cursor"), cursor)
    return Page(_count_of(count), _first_of(cursor))


def _count_of(count: Any) -> int:
    if count is None:
        return COUNT
    if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) < 5:
        count = int(count)
    if type(count) is not int or not 1 <= count <= COUNT_MAX:
        raise Invalid(f"count is a number from 1 to {COUNT_MAX}", field="pagination.count")
    return count


def _first_of(cursor: Any) -> str:
    if cursor is None or cursor == "":
        return ""
    packed = _unpacked(cursor) if isinstance(cursor, str) and len(cursor) <= _CURSOR_CHARS_MAX else ""
    if not packed.startswith(">"):
        raise Invalid("this is no cursor of this API", field="pagination.cursor")
    return packed[1:]


def _unpacked(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor).decode("utf-8")
    except ValueError:
        return ""


def cursor_of(first: str) -> str:
    """The cursor of the page that begins with a name."""
    return base64.urlsafe_b64encode(f">{first}".encode()).decode()


def cut(names: Sequence[str], page: Page) -> tuple[slice, dict[str, Any]]:
    """Which of these names (sorted) are on the page, and what `pagination` says of it."""
    start = bisect_left(names, page.first)
    stop = start + page.count
    return slice(start, stop), pagination_of(names, page, start, stop)


def pagination_of(names: Sequence[str], page: Page, start: int, stop: int) -> dict[str, Any]:
    """`pagination` of a page from `start` up to `stop`."""
    return {
        "current": cursor_of(page.first),
        "next": cursor_of(names[stop]) if stop < len(names) else None,
        "previous": cursor_of(names[max(start - page.count, 0)])
        if 0 < start <= len(names) and names
        else None,
        "totalEntries": len(names),
    }

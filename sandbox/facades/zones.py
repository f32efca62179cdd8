"""`zoneinfo` without its files: all zones are loaded before the worker starts, and found by their exact names.

The library's own constructor joins its argument to a path, by way of the argument's methods.
"""

from __future__ import annotations

import zoneinfo
from typing import Any, Final

_ZONES: Final[dict[str, zoneinfo.ZoneInfo]] = {}


class _ZoneType(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, zoneinfo.ZoneInfo)


class ZoneInfo(metaclass=_ZoneType):
    """`zoneinfo.ZoneInfo(key)`."""

    def __new__(cls, key: str) -> Any:
        """The library's own object. Raises `ZoneInfoNotFoundError`."""
        if not isinstance(key, str):
            raise TypeError(f"a time zone's key is text, not {type(key).__name__}")
        zone = _ZONES.get(str.__str__(key))
        if zone is None:
            raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {str.__str__(key)}")
        return zone


def available_timezones() -> set[str]:
    """`zoneinfo.available_timezones()`."""
    return set(_ZONES)


def load_all() -> None:
    """Read every zone that this machine knows."""
    for name in zoneinfo.available_timezones():
        _ZONES[name] = zoneinfo.ZoneInfo(name)


NAMES: Final[dict[str, Any]] = {"ZoneInfo": ZoneInfo, "available_timezones": available_timezones}

"""Time that stands still and randomness that repeats, for a function's own tests: never in a deployed one.

The views that a function imports are changed in place, once, in a worker that ends with the test.
"""

from __future__ import annotations

import datetime as dt
import random
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


def time_names(now_ms: int) -> dict[str, dict[str, Any]]:
    """Module → names that tell the time, of which all say `now_ms`."""
    now_s = now_ms / 1000

    class date(dt.date):  # noqa: N801  the library's name
        """`datetime.date`."""

        __slots__ = ()

        @classmethod
        def today(cls) -> Self:
            """The pinned day."""
            return cls.fromtimestamp(now_s)

    class datetime(dt.datetime, date):  # noqa: N801  the library's name
        """`datetime.datetime`, which is a `date` too."""

        __slots__ = ()

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            """The pinned time."""
            return cls.fromtimestamp(now_s, tz)

        @classmethod
        def today(cls) -> Self:
            """The pinned time."""
            return cls.fromtimestamp(now_s)

        @classmethod
        def utcnow(cls) -> Self:
            """The pinned time, without a zone."""
            return cls.fromtimestamp(now_s, dt.UTC).replace(tzinfo=None)

    def at(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda seconds=None: function(now_s if seconds is None else seconds)

    return {
        "datetime": {"datetime": datetime, "date": date},
        "time": {
            "time": lambda: now_s,
            "time_ns": lambda: now_ms * 1_000_000,
            "gmtime": at(time.gmtime),
            "localtime": at(time.localtime),
        },
    }


def random_names(seed: int) -> dict[str, dict[str, Any]]:
    """Module → names that draw from `random`, which begins anew at `seed`."""
    random.seed(seed)

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=random.getrandbits(128), version=4)

    return {"uuid": {"uuid4": uuid4}}

"""`cache`: values kept between invocations of one worker; may be emptied at any time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import msgpack

from sandbox.runtime.context import CURRENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ENTRIES_MAX: Final = 10_000
BYTES_MAX: Final = 16 * 1024 * 1024
_OPAQUE_BYTES: Final = 1024


class Cache:
    """`load(key, fn)` or `load(key, ttl_ms, fn)`; `delete(key)`. The least recently used go first when it is full."""

    __slots__ = ("_bytes", "_entries", "_loading", "_now")

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._entries: OrderedDict[str, tuple[Any, float, int]] = OrderedDict()
        self._bytes = 0
        self._loading: dict[str, asyncio.Future[Any]] = {}
        self._now = now

    def load(self, key: str, ttl_ms: Any = -1, fn: Any = None) -> Any:
        """The value of `key`, made by `fn()` if it is missing or expired; awaited in `async def` handlers.

        `ttl_ms` -1 means no expiry. What `fn` raises is raised, and nothing is kept. One call is in flight a key.
        """
        if fn is None:
            ttl_ms, fn = -1, ttl_ms
        if not isinstance(key, str):
            raise TypeError(f"a cache key is text, not {type(key).__name__}")
        key = str.__str__(key)  # of a subclass: its characters, not what its methods answer
        if not callable(fn):
            raise TypeError(
                "cache.load(key, fn) or cache.load(key, ttl_ms, fn): fn is a function that makes the value"
            )
        if isinstance(ttl_ms, bool) or not isinstance(ttl_ms, int | float):
            raise TypeError("ttl_ms is a number of milliseconds, or -1")
        invocation = CURRENT.get()
        if invocation is not None and invocation.is_async:
            return self._load_async(key, ttl_ms, fn)
        found, value = self._find(key)
        if not found:
            value = fn()
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise TypeError(
                    "cache.load in a `def` handler needs a `def` function; make the handler `async def` to await"
                )
            self._keep(key, ttl_ms, value)
        return value

    async def _load_async(self, key: str, ttl_ms: float, fn: Callable[[], Any]) -> Any:
        found, value = self._find(key)
        while not found and key in self._loading:
            await asyncio.wait([self._loading[key]])
            found, value = self._find(key)
        if found:
            return value
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._loading[key] = done
        try:
            value = fn()
            if inspect.isawaitable(value):
                awaitable: Awaitable[Any] = value
                value = await awaitable
            self._keep(key, ttl_ms, value)
            return value
        finally:
            del self._loading[key]
            done.set_result(None)

    def delete(self, key: str) -> None:
        """Forget the value of `key`, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry[2]

    def _find(self, key: str) -> tuple[bool, Any]:
        entry = self._entries.get(key)
        if entry is None:
            return False, None
        if entry[1] and entry[1] <= self._now():
            self.delete(key)
            return False, None
        self._entries.move_to_end(key)
        return True, entry[0]

    def _keep(self, key: str, ttl_ms: float, value: Any) -> None:
        self.delete(key)
        size = len(key) + _size(value)
        if size > BYTES_MAX or ttl_ms == 0:
            return
        self._entries[key] = (value, self._now() + ttl_ms / 1000 if ttl_ms > 0 else 0.0, size)
        self._bytes += size
        while len(self._entries) > ENTRIES_MAX or self._bytes > BYTES_MAX:
            _, (_, _, dropped) = self._entries.popitem(last=False)
            self._bytes -= dropped


def clear(cache: Cache) -> None:
    """Forget everything: the worker is suspended, or memory is short."""
    cache._entries.clear()  # noqa: SLF001  not a method, so that handlers don't see it
    cache._bytes = 0  # noqa: SLF001


def _size(value: Any) -> int:
    """About what the value weighs: its msgpack size where it has one."""
    try:
        return len(msgpack.packb(value, default=lambda _: b"x" * _OPAQUE_BYTES))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _OPAQUE_BYTES

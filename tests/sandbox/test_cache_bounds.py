"""`cache` is bounded in entries and in bytes; what was used longest ago goes first."""

from __future__ import annotations

from sandbox.runtime.cache import BYTES_MAX, ENTRIES_MAX, Cache


def made(cache: Cache, key: str, value: object = 0) -> bool:
    """The value had to be made: it wasn't there."""
    calls: list[str] = []

    def make() -> object:
        calls.append(key)
        return value

    cache.load(key, make)
    return bool(calls)


def test_ten_thousand_entries_are_kept_and_the_oldest_goes_for_the_next() -> None:
    cache = Cache()
    assert all(made(cache, str(n)) for n in range(ENTRIES_MAX))
    assert not made(cache, "0"), "and is the youngest now"
    assert made(cache, "one more")
    assert not made(cache, "0")
    assert made(cache, "1")


def test_bytes_are_bounded_too() -> None:
    cache = Cache()
    third = b"x" * (BYTES_MAX // 3)
    assert all(made(cache, name, third) for name in ("a", "b", "c"))
    assert not made(cache, "c", third)
    assert made(cache, "a", third)


def test_what_is_larger_than_the_cache_is_returned_and_not_kept() -> None:
    cache = Cache()
    assert made(cache, "small")
    assert made(cache, "large", b"x" * (BYTES_MAX + 1))
    assert made(cache, "large", b"x" * (BYTES_MAX + 1))
    assert not made(cache, "small")

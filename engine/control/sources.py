"""Sources: made, shown, given other write keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from engine.dispatch.shown import Rows, iso
from engine.errors import Conflict, NotFound
from engine.registry.sources import SAMPLES_KEPT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.model import Source
    from engine.registry.store import Registry

WRITE_KEYS_MAX: Final = 20
TOLD_AT_ONCE: Final = 1_000
"""Write keys in one item of `keys`."""


class Sources:
    """What can be done with sources, but sending."""

    def __init__(self, registry: Registry, *, changed: Callable[[], object]) -> None:
        """`changed` is called when routing is to look again."""
        self._registry = registry
        self._route_again = changed
        self._news = asyncio.Event()

    def _changed(self) -> None:
        self._route_again()
        self._news.set()
        self._news = asyncio.Event()

    def get(self, name: str) -> Source:
        """Raises `NotFound`."""
        source = self._registry.sources.get(name)
        if source is None:
            raise NotFound(
                f"there is no source named {name!r}",
                remedy=f"`engine source list` shows those there are; `engine source create {name}` makes one",
            )
        return source

    def create(self, *, name: str, samples_kept: int = SAMPLES_KEPT) -> dict[str, Any]:
        """With its first write key. Raises `Conflict` if it exists."""
        if self._registry.sources.get(name) is not None:
            raise Conflict(f"there is a source named {name!r}", remedy="choose another name, or use that one")
        self._registry.sources.create(name, samples_kept)
        self._changed()
        return self.show(name=name)

    def update(
        self,
        *,
        name: str,
        samples_kept: int | None = None,
        add_key: bool = False,
        remove_key: str | None = None,
    ) -> dict[str, Any]:
        """Change what is given. To rotate a write key add one, move the senders, remove the old one."""
        source = self.get(name)
        if remove_key is not None and remove_key not in source.write_keys:
            raise NotFound(
                f"the source {name!r} has no such write key", remedy=f"`engine source show {name}` lists them"
            )
        if add_key and len(source.write_keys) >= WRITE_KEYS_MAX:
            raise Conflict(
                f"the source {name!r} has {WRITE_KEYS_MAX} write keys", remedy="remove one that nobody uses"
            )
        with self._registry.transaction():
            if samples_kept is not None:
                self._registry.sources.set_samples_kept(source, samples_kept)
            if add_key:
                self._registry.sources.add_key(source)
            if remove_key is not None:
                self._registry.sources.remove_key(source, remove_key)
        self._changed()
        return self.show(name=name)

    def remove(self, *, name: str) -> dict[str, Any]:
        """Forget it; what it has sent is delivered all the same."""
        self._registry.sources.remove(self.get(name))
        self._changed()
        return {"name": name}

    def list(self) -> Rows:
        """A row a source, by name."""
        return [
            {
                "name": source.name,
                "destinations": list(source.destinations),
                "write_keys": len(source.write_keys),
                "created": iso(source.created_ms),
            }
            for source in self._registry.sources.all()
        ]

    def show(self, *, name: str) -> dict[str, Any]:
        """One, with its write keys."""
        source = self.get(name)
        return {
            "name": source.name,
            "write_keys": list(source.write_keys),
            "destinations": list(source.destinations),
            "samples_kept": source.samples_kept,
            "created": iso(source.created_ms),
        }

    async def keys(self) -> AsyncIterator[dict[str, Any]]:
        """Which source a write key is of: all of them, then what changes, as soon as it does; without end.

        {keys: {write key: name of the source, None if it is no more}, is_complete: False if more follows at once}
        """
        told: dict[str, str] | None = None
        while True:
            news, known = self._news, self._registry.sources.by_key()
            before = told or {}
            changed = sorted(key for key in before.keys() | known if before.get(key) != known.get(key))
            if changed or told is None:
                parts = [changed[at : at + TOLD_AT_ONCE] for at in range(0, len(changed) or 1, TOLD_AT_ONCE)]
                for number, part in enumerate(parts, 1):
                    keys = {key: known.get(key) for key in part}
                    yield {"keys": keys, "is_complete": number == len(parts)}
            told = known
            await news.wait()

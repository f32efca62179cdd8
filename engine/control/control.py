"""The control plane: its parts, and the keys that secrets are sealed under."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from engine.control.destinations import Destinations
from engine.control.functions import Functions
from engine.control.sources import Sources
from engine.control.tokens import Tokens
from engine.dispatch.shown import Rows, iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.dispatch.trial import Trial
    from engine.model import Destination, Limits
    from engine.registry.secrets import Keyring
    from engine.registry.store import Registry

log = structlog.get_logger()


class Control:
    """Owner of nothing but its parts."""

    def __init__(
        self,
        registry: Registry,
        keys: Keyring,
        *,
        new_trial: Callable[[], Trial],
        limits: Callable[[Mapping[str, int]], Limits],
        changed: Callable[[Destination], object],
        resealed: Callable[[Destination], object],
        sources_changed: Callable[[], object],
    ) -> None:
        """`changed` is told each destination that was made or changed, `resealed` each whose secrets may be sealed anew.

        `sources_changed` is called when a source isn't what it was.
        """
        self._registry = registry
        self._keys = keys
        self._resealed = resealed
        self.functions = Functions(registry, new_trial=new_trial, changed=changed)
        self.destinations = Destinations(registry, self.functions, limits=limits, changed=changed)
        self.sources = Sources(registry, changed=sources_changed)
        self.tokens = Tokens(registry)

    def show_keys(self) -> dict[str, Any]:
        """Ids of the keys, the one that seals first; how many values aren't under it yet."""
        return {
            "current": self._keys.current_id,
            "keys": self._keys.ids,
            "from": "environment" if self._keys.path is None else str(self._keys.path),
            "sealed": self._registry.destinations.count_sealed(),
        }

    def rotate_key(self) -> dict[str, Any]:
        """Make a new key, seal everything under it, drop the old ones. Workers don't notice: they hold what they were given.

        A crash at any point leaves every value with a key that opens it; the next rotation or start finishes.
        """
        before = self._keys.current_id
        after = self._keys.add_key()
        resealed = self.finish_rotation()
        self._registry.audit.note("key.rotate", after, replaces=before, resealed=resealed)
        log.info("key_rotated", key=after, resealed=resealed)
        return {"current": after, "replaces": before, "resealed": resealed}

    def check_secrets(self) -> None:
        """At the start: every value opens; a rotation that was cut short is finished. Raises `ConfigurationError`."""
        for destination in self._registry.destinations.all():
            self._registry.destinations.open_values(destination)
        self.finish_rotation()

    def finish_rotation(self) -> int:
        """Seal anew what is under another key than the current one, then forget the others. Raises `ConfigurationError`."""
        resealed = self._registry.destinations.reseal()
        if resealed:
            for destination in self._registry.destinations.all():
                self._resealed(destination)
        self._keys.drop_old_keys()
        return resealed

    def usage(self, *, since_ms: int = 0, until_ms: int | None = None) -> Rows:
        """What was used, by day, function and destination: the newest day first."""
        return self._registry.usage.rows(since_ms=since_ms, until_ms=until_ms)

    def audit(self, *, since_ms: int = 0, until_ms: int | None = None) -> Iterator[dict[str, Any]]:
        """What was changed and opened, the oldest first."""
        for entry in self._registry.audit.entries(since_ms=since_ms, until_ms=until_ms):
            yield {"at": iso(entry.pop("at_ms")), **entry}

"""Functions: saved as versions, deployed to destinations, rolled back. What doesn't load changes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from engine.control.checks import check_moves
from engine.dispatch.shown import Rows, handler_map, iso
from engine.errors import Conflict, FunctionRefused, NotFound
from engine.model import Code, Limits
from engine.registry.audit import CALLER
from engine.registry.settings_schema import parse_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.dispatch.trial import Loading, Trial
    from engine.model import Destination, Function, FunctionVersion
    from engine.registry.store import Registry

_NO_SETTINGS = b"\x80"


class Functions:
    """What can be done with functions."""

    def __init__(
        self,
        registry: Registry,
        *,
        new_trial: Callable[[], Trial],
        changed: Callable[[Destination], object],
    ) -> None:
        """`changed` is told each destination that runs another version."""
        self._registry = registry
        self._new_trial = new_trial
        self._changed = changed
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, name: str) -> asyncio.Lock:
        """Held while a version of the function is tried and then stored: two saves don't overtake one another."""
        return self._locks.setdefault(name, asyncio.Lock())

    def get(self, name: str) -> Function:
        """Raises `NotFound`."""
        function = self._registry.functions.get(name)
        if function is None:
            raise NotFound(
                f"there is no function named {name!r}",
                remedy="`engine function list` shows those there are; `engine function create FILE` makes one",
            )
        return function

    def version(self, function: Function, number: int | None) -> FunctionVersion:
        """One of its versions, or the newest. Raises `NotFound`."""
        version = self._registry.functions.version(function.id, number)
        if version is None:
            raise NotFound(
                f"the function {function.name!r} has no version {number}",
                remedy=f"`engine function show {function.name}` lists them",
            )
        return version

    # --- Changing

    async def save(
        self,
        *,
        name: str,
        source: str,
        filename: str,
        schema: Any = None,
        about: dict[str, str],
        deploy: bool = False,
        destinations: Sequence[str] | None = None,
        is_new: bool = False,
    ) -> dict[str, Any]:
        """Keep the source as a version if it compiles and loads; with `deploy` also move destinations to it.

        Raises `FunctionRefused` or `UsageError`, with `is_new` `Conflict` if there is such a function; then nothing has
        changed.
        """
        written = Code(source, filename, None if schema is None else parse_schema(schema))
        async with self.lock(name):
            if is_new and self._registry.functions.get(name) is not None:
                raise Conflict(f"there is a function named {name!r}", remedy="choose another name")
            loading = await self.try_out(source, filename)
            with self._registry.transaction():
                version = self.keep(name, written, loading, about)
                moved = self.move(self.get(name), version, destinations) if deploy else []
        for destination in moved:
            self._changed(destination)
        return {
            "name": name,
            "version": version.number,
            "handlers": [handler_map(handler) for handler in loading.handlers],
            "logs": loading.logs,
            "deployed_to": [destination.name for destination in moved],
        }

    async def try_out(self, source: str, filename: str, limits: Limits | None = None) -> Loading:
        """Compile and load it in a worker of its own. Raises `FunctionRefused`."""
        trial = self._new_trial()
        try:
            return await trial.load(
                source=source, filename=filename, settings=_NO_SETTINGS, limits=limits or Limits()
            )
        finally:
            trial.close()

    def keep(self, name: str, written: Code, loading: Loading, about: dict[str, str]) -> FunctionVersion:
        """Store what was tried out, within the caller's transaction."""
        return self._registry.functions.save(
            name,
            written,
            handlers=loading.handlers,
            code=loading.code,
            policy_key=loading.policy_key,
            libraries=loading.libraries,
            author=CALLER.get().who,
            about=about,
        )

    def deploy(
        self, *, name: str, version: int | None = None, destinations: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Move destinations to a version, the newest unless one is named: an older one is a rollback.

        Without `destinations` all move that aren't pinned, and new ones start with it; those named are pinned to it. Raises
        `UsageError` if one lacks a required setting; then none has moved.
        """
        function = self.get(name)
        chosen = self.version(function, version)
        with self._registry.transaction():
            moved = self.move(function, chosen, destinations)
        for destination in moved:
            self._changed(destination)
        return {
            "name": name,
            "version": chosen.number,
            "deployed_to": [destination.name for destination in moved],
        }

    def move(
        self, function: Function, version: FunctionVersion, names: Sequence[str] | None
    ) -> list[Destination]:
        """Within the caller's transaction; the destinations as they are then, for the caller to tell of."""
        candidates = self._registry.destinations.of_function(function.id)
        known = {destination.name for destination in candidates}
        unknown = [name for name in names or () if name not in known]
        if unknown:
            raise NotFound(
                f"no destination of the function {function.name!r} is named {', '.join(map(repr, unknown))}",
                remedy=f"it has {', '.join(sorted(known)) or 'none'}",
            )
        chosen = [item for item in candidates if (item.name in names if names else not item.is_pinned)]
        check_moves([(item, self._registry.destinations.open_values(item)) for item in chosen], version)
        if not names:
            self._registry.functions.set_deployed(function, version.number)
        detail = {"version": version.number, "destinations": [item.name for item in chosen]}
        self._registry.audit.note("function.deploy", function.name, **detail)
        return [
            self._registry.destinations.move(item, version, is_pinned=item.is_pinned or bool(names))
            for item in chosen
        ]

    def update(self, *, name: str, about: dict[str, str]) -> dict[str, Any]:
        """Change display name, description, logo."""
        self.get(name)
        self._registry.functions.describe(name, about)
        return self.show(name=name)

    def remove(self, *, name: str) -> dict[str, Any]:
        """Forget a function. Raises `Conflict` while destinations run it."""
        function = self.get(name)
        running = self._registry.destinations.of_function(function.id)
        if running:
            raise Conflict(
                f"{len(running)} destinations run {name!r}: {', '.join(item.name for item in running[:10])}",
                remedy="remove them first: `engine remove NAME`",
            )
        self._registry.functions.remove(function)
        return {"name": name}

    # --- Looking

    def list(self) -> Rows:
        """A row a function, by name."""
        rows = []
        for function in self._registry.functions.all():
            running = self._registry.destinations.of_function(function.id)
            newest = self.version(function, None)
            rows.append(
                {
                    "name": function.name,
                    "display_name": function.display_name,
                    "description": function.description,
                    "logo_url": function.logo_url,
                    "latest": newest.number,
                    "deployed": function.deployed,
                    "destinations": len(running),
                    "author": self.version(function, 1).author,
                    "created": iso(function.created_ms),
                }
            )
        return rows

    def show(self, *, name: str, version: int | None = None) -> dict[str, Any]:
        """One function with its versions, and the code of one: the newest unless `version` says otherwise."""
        function = self.get(name)
        shown = self.version(function, version)
        deployed_ms = self._registry.functions.deployments(function)
        return {
            "name": name,
            "display_name": function.display_name,
            "description": function.description,
            "logo_url": function.logo_url,
            "deployed": function.deployed,
            "destinations": {
                item.name: item.version.number
                for item in self._registry.destinations.of_function(function.id)
            },
            "versions": [
                {
                    "version": item.number,
                    "author": item.author,
                    "created": iso(item.created_ms),
                    "deployed": iso(deployed_ms[item.number]) if item.number in deployed_ms else None,
                }
                for item in self._registry.functions.versions(function.id)
            ],
            "version": shown.number,
            "settings": None if shown.schema is None else [setting.as_map() for setting in shown.schema],
            "handlers": [handler_map(handler) for handler in shown.handlers],
            "libraries": list(shown.libraries),
            "filename": shown.filename,
            "code": shown.source,
        }

    async def check(self) -> Rows:
        """Compile and load every version that a destination runs, under this interpreter and policy."""
        versions = {
            (item.function, item.version.number): item.version for item in self._registry.destinations.all()
        }
        results = []
        for (name, number), version in sorted(versions.items()):
            result: dict[str, Any] = {"name": name, "version": number, "ok": True, "error": ""}
            try:
                await self.try_out(version.source, version.filename)
            except FunctionRefused as error:
                result.update(ok=False, error=error.message, **error.data)
            results.append(result)
        return results

"""Destinations: which version of a function runs, with which values, on events of which sources."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from engine.control.checks import joined_values
from engine.dispatch.shown import Rows, handler_map, iso
from engine.errors import Conflict, NotFound, UsageError
from engine.filters.parsing import parse
from engine.model import Code
from engine.paths import LIMIT_OPTIONS
from engine.registry.settings_schema import parse_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.control.functions import Functions
    from engine.model import Destination, Limits, Setting
    from engine.registry.store import Registry

DIFF_LINES_MAX: Final = 2_000


class Destinations:
    """What can be done with destinations, but running them."""

    def __init__(
        self,
        registry: Registry,
        functions: Functions,
        *,
        limits: Callable[[Mapping[str, int]], Limits],
        changed: Callable[[Destination], object],
    ) -> None:
        """`limits` checks what is given over the daemon's defaults; `changed` is told each destination that was made or changed."""
        self._registry = registry
        self._functions = functions
        self._limits = limits
        self._changed = changed

    def get(self, name: str) -> Destination:
        """Raises `NotFound`."""
        destination = self._registry.destinations.get(name)
        if destination is None:
            raise NotFound(
                f"there is no destination named {name!r}",
                remedy="`engine list` shows those there are; `engine deploy FILE --name NAME` makes one",
            )
        return destination

    # --- One line: function, version and destination together

    async def deploy(
        self,
        *,
        name: str,
        source: str,
        filename: str,
        settings: Mapping[str, Any],
        limits: Mapping[str, int],
        schema: Any = None,
        about: dict[str, str] | None = None,
        filter: str | None = None,  # noqa: A002  the API's name
        sources: Sequence[str] | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Keep the source as a version of the function of this name, deploy it, and set up the destination of this name.

        `settings` change those that are set already; None takes one away. What isn't given of filter and sources
        stays as it is. Raises `FunctionRefused` or `UsageError`; then nothing has changed.
        """
        written = Code(source, filename, None if schema is None else parse_schema(schema))
        checked = self._limits(limits)

        def planned() -> tuple[Destination | None, dict[str, Any]]:
            existing = self._registry.destinations.get(name)
            self._check_owner(existing, name)
            plan = self._planned(
                existing, written.schema, name=name, settings=settings, filter_text=filter, sources=sources
            )
            return existing, plan

        async with self._functions.lock(name):
            planned()  # what can be refused at once is
            loading = await self._functions.try_out(source, filename, checked)
            existing, plan = planned()  # anew: others may have changed it meanwhile
            changes = _changes(existing, written, settings, checked, plan)
            answer = {
                "name": name,
                "created": existing is None,
                "handlers": [handler_map(handler) for handler in loading.handlers],
                "logs": loading.logs,
                "changes": changes,
            }
            if dry_run:
                return {**answer, "version": existing.version.number if existing is not None else 0}
            with self._registry.transaction():
                version = self._functions.keep(name, written, loading, about or {})
                function = self._functions.get(name)
                if existing is None:
                    detail = {"function": name, "version": version.number}
                    self._registry.destinations.create(
                        name, function, version, chosen=limits, **plan, detail=detail
                    )
                else:
                    detail = {"version": version.number, "changed": [change["what"] for change in changes]}
                    self._registry.destinations.change(
                        existing, version=version, chosen=limits, **plan, detail=detail
                    )
                moved = self._functions.move(function, version, None)
        self.tell([self.get(name), *(item for item in moved if item.name != name)])
        return {**answer, "version": version.number}

    def _check_owner(self, existing: Destination | None, name: str) -> None:
        if existing is not None and existing.function != name:
            raise Conflict(
                f"the destination {name!r} runs the function {existing.function!r}",
                remedy=f"`engine function update {existing.function} FILE --deploy`, or choose another name",
            )

    def _planned(
        self,
        existing: Destination | None,
        schema: Sequence[Setting] | None,
        *,
        name: str,
        settings: Mapping[str, Any],
        filter_text: str | None,
        sources: Sequence[str] | None,
    ) -> dict[str, Any]:
        """What is stored of a destination beside function, version and limits; checked."""
        stored = {} if existing is None else self._registry.destinations.open_values(existing)
        if filter_text is None:
            filter_text = existing.filter_text if existing is not None else ""
        parse(filter_text)
        if sources is None:
            sources = existing.sources if existing is not None else ()
        self._check_sources(sources)
        return {
            "values": joined_values(schema, stored, settings, name),
            "filter_text": filter_text,
            "sources": tuple(sorted(set(sources))),
        }

    def _check_sources(self, names: Sequence[str]) -> None:
        known = self._registry.sources.names()
        for name in names:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                raise NotFound(
                    f"there is no source named {name!r}{f'; did you mean {close[0]}?' if close else ''}",
                    remedy=f"`engine source create {name}` makes one",
                )

    def tell(self, destinations: Sequence[Destination]) -> None:
        """Their workers take it up."""
        for destination in destinations:
            self._changed(destination)

    # --- One by one

    async def create(
        self,
        *,
        name: str,
        function: str,
        version: int | None = None,
        settings: Mapping[str, Any] | None = None,
        limits: Mapping[str, int] | None = None,
        filter: str = "",  # noqa: A002  the API's name
        sources: Sequence[str] = (),
        enabled: bool = True,
    ) -> dict[str, Any]:
        """A destination of a function that is saved; with a version it is pinned to it. Raises `Conflict` if it exists."""
        if self._registry.destinations.get(name) is not None:
            raise Conflict(
                f"there is a destination named {name!r}", remedy="`engine destination update` changes it"
            )
        owner = self._functions.get(function)
        chosen = self._functions.version(owner, version if version is not None else owner.deployed)
        plan = self._planned(
            None, chosen.schema, name=name, settings=settings or {}, filter_text=filter, sources=sources
        )
        self._limits(limits or {})  # what can't be is refused
        made = self._registry.destinations.create(
            name,
            owner,
            chosen,
            chosen=limits or {},
            **plan,
            is_pinned=version is not None,
            is_enabled=enabled,
            detail={"function": function, "version": chosen.number},
        )
        self.tell([made])
        return {"name": name, "version": chosen.number}

    async def update(
        self,
        *,
        name: str,
        version: int | None = None,
        follow: bool = False,
        settings: Mapping[str, Any] | None = None,
        limits: Mapping[str, int] | None = None,
        filter: str | None = None,  # noqa: A002  the API's name
        sources: Sequence[str] | None = None,
        enabled: bool | None = None,
    ) -> dict[str, Any]:
        """Change what is given. `version` pins it, `follow` lets it run what is deployed of its function again.

        Its workers finish what they hold under the old; what they haven't got yet runs under the new.
        """
        existing = self.get(name)
        owner = self._functions.get(existing.function)
        if version is not None and follow:
            raise UsageError("a version pins a destination, following doesn't", remedy="give one of them")
        chosen = existing.version
        if version is not None or follow:
            chosen = self._functions.version(owner, version if version is not None else owner.deployed)
        plan = self._planned(
            existing, chosen.schema, name=name, settings=settings or {}, filter_text=filter, sources=sources
        )
        chosen_limits = {**dict(existing.chosen), **(limits or {})}
        checked = self._limits(chosen_limits)
        changes = _changes(
            existing, Code(chosen.source, chosen.filename, chosen.schema), settings or {}, checked, plan
        )
        changed = self._registry.destinations.change(
            existing,
            version=chosen,
            chosen=chosen_limits,
            **plan,
            is_pinned=existing.is_pinned if version is None and not follow else not follow,
            is_enabled=existing.is_enabled if enabled is None else enabled,
            detail={
                "version": chosen.number,
                "changed": [change["what"] for change in changes],
                **({} if enabled is None else {"enabled": enabled}),
            },
        )
        self.tell([changed])
        return {"name": name, "version": chosen.number, "changes": changes}

    def list(self) -> Rows:
        """A row a destination, by name: what it is, not how it does."""
        return [_row(destination) for destination in self._registry.destinations.all()]

    def show(self, *, name: str) -> dict[str, Any]:
        """One, with its filter and settings; values of sensitive settings are never shown."""
        destination = self.get(name)
        return {
            **_row(destination),
            "filter": destination.filter_text,
            "limits": asdict_limits(destination.limits),
            "settings": self.settings(name=name),
            "created": iso(destination.created_ms),
            "changed": iso(destination.deployed_ms),
        }

    def settings(self, *, name: str) -> Rows:
        """A row a setting: name, type, required, sensitive, is_set and, of those that may be shown, value."""
        destination = self.get(name)
        shown = self._registry.destinations.harmless_values(destination)
        stored = {value.name for value in destination.values}
        schema = destination.version.schema
        if schema is None:
            return [
                {
                    "name": name,
                    "type": "",
                    "required": False,
                    "sensitive": True,
                    "is_set": True,
                    "value": None,
                }
                for name in sorted(stored)
            ]
        return [
            {
                "name": setting.name,
                "label": setting.label,
                "type": str(setting.type),
                "required": setting.required,
                "sensitive": setting.sensitive,
                "is_set": setting.name in stored,
                "value": None if setting.sensitive else shown.get(setting.name),
            }
            for setting in schema
        ]


def asdict_limits(limits: Limits) -> dict[str, int]:
    """Those that a destination may choose."""
    return {name: getattr(limits, name) for name, _ in LIMIT_OPTIONS}


def _row(destination: Destination) -> dict[str, Any]:
    return {
        "name": destination.name,
        "function": destination.function,
        "version": destination.version.number,
        "pinned": destination.is_pinned,
        "enabled": destination.is_enabled,
        "sources": list(destination.sources),
        "filtered": bool(destination.filter_text),
    }


def _changes(
    existing: Destination | None,
    written: Code,
    settings: Mapping[str, Any],
    limits: Limits,
    plan: Mapping[str, Any],
) -> Rows:
    """What a deploy changes: maps with `what` and, where it can be shown, `before` and `after`. Never a value of a setting."""
    if existing is None:
        return [{"what": "destination", "before": None, "after": "new"}]
    changes: list[dict[str, Any]] = []
    if existing.version.source != written.source:
        lines = difflib.unified_diff(
            existing.version.source.splitlines(),
            written.source.splitlines(),
            "deployed",
            "new",
            lineterm="",
            n=2,
        )
        changes.append({"what": "code", "diff": list(lines)[:DIFF_LINES_MAX]})
    if existing.version.schema != written.schema:
        changes.append({"what": "settings schema"})
    stored = {value.name for value in existing.values}
    for name, value in settings.items():
        before = "set" if name in stored else None
        changes.append(
            {"what": f"setting {name}", "before": before, "after": None if value is None else "set"}
        )
    before_limits, after_limits = asdict_limits(existing.limits), asdict_limits(limits)
    changes += [
        {"what": name, "before": before_limits[name], "after": after}
        for name, after in after_limits.items()
        if before_limits[name] != after
    ]
    if existing.filter_text != plan["filter_text"]:
        changes.append({"what": "filter", "before": existing.filter_text, "after": plan["filter_text"]})
    if existing.sources != plan["sources"]:
        changes.append({"what": "sources", "before": list(existing.sources), "after": list(plan["sources"])})
    return changes

"""The control plane's operations as typed methods, the same for `Client` and `AsyncClient`.

`One` and `Many` are what a call gives: a map and a list of maps, or awaitables of them. Errors are `engine.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from engine.declared import declared_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

One = TypeVar("One")
Many = TypeVar("Many")


def given(**arguments: Any) -> dict[str, Any]:
    """Those that aren't None."""
    return {name: value for name, value in arguments.items() if value is not None}


class DeployOptions(TypedDict, total=False):
    """What `deploy` may be told besides name and code."""

    settings: Mapping[str, Any]
    """Values to set; those that aren't named stay, None takes one away."""
    limits: Mapping[str, int]
    filename: str
    schema: Sequence[Mapping[str, Any]] | None
    """The settings that there are; without it those that the code declares as `SETTINGS`."""
    filter: str | None
    """Which events reach the function; None leaves it as it is."""
    sources: Sequence[str] | None
    """What it is connected to; None leaves it as it is."""
    display_name: str
    description: str
    logo_url: str
    dry_run: bool
    """Only say what would change."""


def deploy_arguments(name: str, code: str, options: DeployOptions) -> dict[str, Any]:
    """Arguments of the operation `deploy`. Raises `UsageError` for `SETTINGS` that isn't written out."""
    arguments = {"filename": "function.py", "settings": {}, "limits": {}, **options}
    if arguments.get("schema") is None:
        arguments["schema"] = declared_settings(code)
    return {"name": name, "source": code, **given(**arguments)}


class Sources(Generic[One, Many]):
    """Where events come from."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._one: Callable[..., One] = call
        self._many: Callable[..., Many] = call

    def create(self, name: str, *, samples_kept: int | None = None) -> One:
        """{name, write_keys, destinations, samples_kept, created}. Raises `Conflict` if it exists."""
        return self._one("source.create", name=name, **given(samples_kept=samples_kept))

    def list(self) -> Many:
        """A row a source: {name, destinations, write_keys (their number), created}."""
        return self._many("source.list")

    def show(self, name: str) -> One:
        """As `create`. Raises `NotFound`."""
        return self._one("source.show", name=name)

    def update(
        self,
        name: str,
        *,
        samples_kept: int | None = None,
        add_key: bool = False,
        remove_key: str | None = None,
    ) -> One:
        """Change what is given; as `show`. A write key is rotated by adding one and removing the old one later."""
        arguments = given(samples_kept=samples_kept, remove_key=remove_key)
        return self._one("source.update", name=name, add_key=add_key, **arguments)

    def samples(self, name: str, event_type: str | None = None) -> Many:
        """The last events that it sent, of all types or of one; msgpack each (bytes)."""
        return self._many("source.samples", name=name, **given(type=event_type))

    def remove(self, name: str) -> One:
        """Forget it; what it has sent is delivered all the same."""
        return self._one("source.remove", name=name)


class Functions(Generic[One, Many]):
    """Code and its versions."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._one: Callable[..., One] = call
        self._many: Callable[..., Many] = call

    def save(
        self,
        name: str,
        code: str,
        *,
        schema: Sequence[Mapping[str, Any]] | None = None,
        filename: str = "function.py",
        deploy: bool = False,
        destinations: Sequence[str] | None = None,
        display_name: str | None = None,
        description: str | None = None,
        logo_url: str | None = None,
    ) -> One:
        """Keep the code as a version, with `deploy` move its destinations to it: {name, version, handlers, logs, deployed_to}.

        Without `schema` the settings are those that the code declares as `SETTINGS`. Raises `FunctionRefused` if it doesn't
        load, `UsageError` if a destination lacks a required setting; then nothing has changed.
        """
        declared = schema if schema is not None else declared_settings(code)
        about = given(display_name=display_name, description=description, logo_url=logo_url)
        return self._one(
            "function.save",
            name=name,
            source=code,
            filename=filename,
            deploy=deploy,
            **given(schema=declared, destinations=destinations),
            **about,
        )

    def deploy(
        self, name: str, *, version: int | None = None, destinations: Sequence[str] | None = None
    ) -> One:
        """Move destinations to a version, the newest unless one is named: {name, version, deployed_to}.

        Without `destinations` all that aren't pinned; those named are pinned to it.
        """
        return self._one("function.deploy", name=name, **given(version=version, destinations=destinations))

    def check(self) -> Many:
        """Compile and load every version that a destination runs: {name, version, ok, error} each."""
        return self._many("function.check")

    def list(self) -> Many:
        """A row a function: {name, display_name, latest, deployed, destinations, created}."""
        return self._many("function.list")

    def show(self, name: str, *, version: int | None = None) -> One:
        """With its versions, and code and settings of one of them."""
        return self._one("function.show", name=name, **given(version=version))

    def update(
        self,
        name: str,
        *,
        display_name: str | None = None,
        description: str | None = None,
        logo_url: str | None = None,
    ) -> One:
        """Change what people see of it."""
        about = given(display_name=display_name, description=description, logo_url=logo_url)
        return self._one("function.update", name=name, **about)

    def remove(self, name: str) -> One:
        """Forget it with its versions. Raises `Conflict` while destinations run it."""
        return self._one("function.remove", name=name)


class Destinations(Generic[One, Many]):
    """What runs a function on events of sources."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._one: Callable[..., One] = call
        self._many: Callable[..., Many] = call

    def create(
        self,
        name: str,
        function: str,
        *,
        version: int | None = None,
        settings: Mapping[str, Any] | None = None,
        limits: Mapping[str, int] | None = None,
        filter: str | None = None,  # noqa: A002  the API's name
        sources: Sequence[str] | None = None,
        enabled: bool = True,
    ) -> One:
        """{name, version}; with `version` it is pinned. Raises `NotFound`, `Conflict`, `UsageError`."""
        return self._one(
            "destination.create",
            name=name,
            function=function,
            enabled=enabled,
            **given(version=version, settings=settings, limits=limits, filter=filter, sources=sources),
        )

    def update(
        self,
        name: str,
        *,
        version: int | None = None,
        follow: bool = False,
        settings: Mapping[str, Any] | None = None,
        limits: Mapping[str, int] | None = None,
        filter: str | None = None,  # noqa: A002  the API's name
        sources: Sequence[str] | None = None,
        enabled: bool | None = None,
    ) -> One:
        """Change what is given: {name, version, changes}. `version` pins it, `follow` unpins; a setting of None is taken away."""
        changes = given(
            version=version, settings=settings, limits=limits, filter=filter, sources=sources, enabled=enabled
        )
        return self._one("destination.update", name=name, follow=follow, **changes)

    def list(self) -> Many:
        """A row a destination: {name, function, version, pinned, enabled, sources, filtered}."""
        return self._many("destination.list")

    def show(self, name: str) -> One:
        """With filter, limits and settings; sensitive values are never shown."""
        return self._one("destination.show", name=name)

    def settings(self, name: str) -> Many:
        """A row a setting: {name, label, type, required, sensitive, is_set, value}."""
        return self._many("setting.list", name=name)


class Keys(Generic[One]):
    """What secrets are sealed under."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._one: Callable[..., One] = call

    def show(self) -> One:
        """{current, keys, from, sealed}: ids, never keys."""
        return self._one("key.list")

    def rotate(self) -> One:
        """Seal everything under a new key: {current, replaces, resealed}."""
        return self._one("key.rotate")


class Tokens(Generic[One, Many]):
    """What people and programs show to be somebody."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._one: Callable[..., One] = call
        self._many: Callable[..., Many] = call

    def create(self, name: str, roles: Sequence[str], *, expires_ms: int | None = None) -> One:
        """{name, roles, created, expires, used, token}: the token itself is shown this once. None never expires.

        A role is `ROLE`, or `ROLE=FUNCTION` to give it for one function (`engine.roles`). Raises `Conflict` if the name is taken.
        """
        return self._one("token.create", name=name, roles=[*roles], **given(expires_ms=expires_ms))

    def list(self) -> Many:
        """A row a token: {name, roles, created, expires, used}."""
        return self._many("token.list")

    def remove(self, name: str) -> One:
        """Nobody is known by it from now on. Raises `NotFound`."""
        return self._one("token.remove", name=name)

"""Modules as a function sees them: read-only views of picked names, and what `import` finds.

A view holds picked names of the real module and nothing else; no real module is reachable through it. `whitelist` says
which names. Libraries come on top where the operator allows them, in a zygote of their own that has loaded them; elsewhere
they are only known by name.
"""

from __future__ import annotations

import codecs
import difflib
import encodings
import importlib
import pkgutil
import random
import typing
import warnings
from typing import TYPE_CHECKING, Any, Final

from sandbox import guards
from sandbox.facades import pinned, zones
from sandbox.whitelist import SUBSTITUTES, WHITELIST, Entry
from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PACKAGES: Final = frozenset({"urllib", "engine", "engine.function"})
"""Importable without being in the table: a parent of one, and the injected names."""
FUNCTION_TYPES: Final = [
    "Event",
    "IdentifyEvent",
    "TrackEvent",
    "PageEvent",
    "ScreenEvent",
    "GroupEvent",
    "AliasEvent",
    "DeleteEvent",
    "Settings",
    "Context",
    "Response",
]
INJECTED: Final = [
    "fetch",
    "cache",
    "console",
    "EventNotSupported",
    "InvalidEventPayload",
    "ValidationError",
    "RetryError",
    "DropEvent",
    "FetchError",
    "FetchTimeout",
    "ConnectionFailed",
    "AddressRefused",
    "ResponseTooLarge",
    "TooManyRequests",
    "HTTPStatusError",
]
_FUNCTION_STUBS: Final[dict[str, Any]] = {
    name: type(name, (), {}) if name == "Settings" else typing.TypedDict(name, {}, total=False)  # type: ignore[operator]  # named by data
    for name in FUNCTION_TYPES
}
"""For annotations, which are stripped: importing them works, and little else."""


class View:
    """A module as a function sees it: picked names, nothing to set."""

    def __getattr__(self, name: str) -> Any:
        module = self.__dict__.get("__name__", "")
        if name.startswith("__"):  # the library looks for its protocols, an author doesn't
            raise AttributeError(name)
        raise AttributeError(f"{module}.{name} is not available: {substitute(f'{module}.{name}')}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"modules are read-only; {name!r} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"modules are read-only; {name!r} can't be deleted")

    def __repr__(self) -> str:
        return f"<module {self.__dict__['__name__']!r}>"


def _make_view(name: str, names: dict[str, Any]) -> View:
    """Not by a constructor: a function would reach that, and refill a module."""
    view = View()
    view.__dict__.update(names)
    view.__dict__["__name__"] = name
    guards.offer_types(names.values())
    return view


_NOTHING: Final = _make_view("nothing", {})
_VIEWS: dict[str, View] = {}
_PACKAGE: Final = Entry("", "a package", is_ours=True)
_ALLOWED: Final[set[str]] = set()
"""Libraries that the operator allows."""
_LIBRARIES: Final[dict[str, Entry]] = {}
"""Modules of those that this process has loaded, and their packages."""


def is_module(name: str) -> bool:
    """It may be imported here."""
    return name in WHITELIST or name in _LIBRARIES or name in PACKAGES


def is_elsewhere(name: str) -> bool:
    """It belongs to a library that is allowed, and that other workers than this one have."""
    library = name.split(".", maxsplit=1)[0]
    return library in _ALLOWED and library not in _LIBRARIES


def visible_names(module: str) -> frozenset[str]:
    """Names that `from module import …` may ask for, in this version of Python."""
    if module == "engine.function":
        return frozenset((*INJECTED, *FUNCTION_TYPES))
    if module == "engine":
        return frozenset({"function"})
    return frozenset(name for name in _view(module).__dict__ if name != "__name__")


def substitute(name: str) -> str:
    """What to use instead of a module or name that isn't there."""
    library = name.split(".", maxsplit=1)[0]
    if library in LIBRARIES and library not in _LIBRARIES:
        return _allow(library)
    for known in (name, library):
        if known in SUBSTITUTES:
            return SUBSTITUTES[known]
    module, _, last = name.rpartition(".")
    is_known = is_module(module)
    candidates = sorted(visible_names(module)) if is_known else sorted([*WHITELIST, *_LIBRARIES])
    close = difflib.get_close_matches(last if is_known else name, candidates, n=1)
    if close:
        return f"did you mean {close[0]}?"
    if is_known:
        return f"{module} has here: {', '.join(candidates[:12])} …"
    return "use one of the modules that the author's guide lists"


def _allow(library: str) -> str:
    if library in _ALLOWED:
        return "it wasn't allowed when this was deployed: deploy it again"
    return (
        f'the operator can allow it: libraries = ["{library}"] in engine.toml, and a restart;'
        " pip install '.[libraries]' where it isn't installed"
    )


def _view(name: str) -> View:
    view = _VIEWS.get(name)
    if view is None:
        entry = WHITELIST.get(name) or _LIBRARIES.get(name, _PACKAGE)
        real = None if entry.is_ours else importlib.import_module(name)
        names = {
            item: entry.replaced[item] if item in entry.replaced else getattr(real, item)
            for item in entry.names.split()
            if item in entry.replaced or hasattr(real, item)  # some came with a later Python
        }
        for other in (*WHITELIST, *_LIBRARIES):
            parent, _, last = other.rpartition(".")
            if parent == name:
                names[last] = _view(other)
        view = _VIEWS[name] = _make_view(name, names)
    return view


def importer(scope: dict[str, object]) -> Callable[..., View]:
    """`__import__` of one module of a user; `scope` are the names that `engine.function` offers there."""
    injected = {name: scope[name] for name in INJECTED if name in scope}
    function = _make_view("engine.function", {**_FUNCTION_STUBS, **injected})
    package = _make_view("engine", {"function": function})

    def import_module(
        name: str,
        _globals: object = None,
        _locals: object = None,
        fromlist: tuple[str, ...] | list[str] | None = (),
        level: int = 0,
    ) -> View:
        if type(fromlist) is list:
            # The library's own C code asks by way of the running frame (`strptime` for `_strptime`); it takes the module
            # from `sys.modules`, not what is returned. Compiled statements pass a tuple or None.
            importlib.import_module(name)
            return _NOTHING
        if level == 0 and name in {"engine", "engine.function"}:
            return function if fromlist and name == "engine.function" else package
        if level or not is_module(name):
            raise ModuleNotFoundError(f"the module {name} is not available: {substitute(name)}", name=name)
        return _view(name) if fromlist or "." not in name else _view(name.split(".", maxsplit=1)[0])

    return import_module


def preload(allowed: Iterable[str] = (), *, loads_libraries: bool = False) -> None:
    """Import, read and fill everything that a worker can't any more: it has no files.

    `allowed` are libraries that the operator allows: functions that import them run in workers of a process that loads them.
    """
    _ALLOWED.update(allowed)
    if loads_libraries:
        _load_libraries()
    for name in (*WHITELIST, *_LIBRARIES):
        _view(name)
    for extra in (
        "_strptime",
        "linecache",
        "encodings.idna",
        "stringprep",
        "decimal",
        "_pydatetime",
        "tzdata",
    ):
        try:
            importlib.import_module(extra)
        except ImportError:  # not in every version of Python
            continue
    for module in pkgutil.iter_modules(encodings.__path__):
        if module.name not in {"mbcs", "oem", "cp65001"}:
            try:
                codecs.lookup(module.name)
            except (LookupError, UnicodeError, TypeError, ValueError):
                continue
    zones.load_all()


def _facade(library: str) -> Any:
    """Raises `ImportError` if the library isn't installed."""
    return importlib.import_module(f"sandbox.facades.libraries.{library}")


def _load_libraries() -> None:
    """Raises `ImportError` if one isn't installed."""
    warnings.simplefilter("ignore")  # a worker has nowhere to show them
    for library in sorted(_ALLOWED):
        for name, entry in _facade(library).MODULES.items():
            _LIBRARIES[name] = entry
            while name := name.rpartition(".")[0]:
                _LIBRARIES.setdefault(name, _PACKAGE)


def pin(now_ms: int | None, seed: int | None) -> None:
    """In a function's own tests: the time stands still, randomness repeats. For the life of this process."""
    names = {**(pinned.time_names(now_ms) if now_ms is not None else {})}
    names.update(pinned.random_names(seed) if seed is not None else {})
    for module, replaced in names.items():
        _view(module).__dict__.update(replaced)
    for library in _LIBRARIES.keys() & LIBRARIES.keys() if now_ms is not None else ():
        facade = _facade(library)
        if hasattr(facade, "pin"):
            facade.pin(now_ms)


def reseed() -> None:
    """After a fork: randomness of the worker's own."""
    random.seed()


def libraries() -> list[tuple[str, str, list[str], str]]:
    """(library, module, names, reason) for the author's guide: of all there are, which must be installed."""
    return [
        (library, name, sorted(entry.names.split()), entry.reason)
        for library in LIBRARIES
        for name, entry in _facade(library).MODULES.items()
    ]


def whitelist() -> list[tuple[str, list[str], str]]:
    """(module, names, reason) for the author's guide."""
    return [(name, sorted(entry.names.split()), entry.reason) for name, entry in WHITELIST.items()]

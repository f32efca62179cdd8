"""Which of the libraries for functions are installed beside the engine. Looks for them, and imports none."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError
from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterable


def missing(library: str) -> list[str]:
    """The modules that this library needs and that can't be imported here."""
    return [module for module in LIBRARIES[library] if find_spec(module) is None]


def present() -> tuple[str, ...]:
    """Libraries that functions could import here."""
    return tuple(library for library in LIBRARIES if not missing(library))


def require(libraries: Iterable[str]) -> None:
    """Raise `ConfigurationError`, naming what isn't installed of these."""
    absent = {library: modules for library in libraries if (modules := missing(library))}
    if absent:
        needs = "; ".join(f"{library} needs {', '.join(modules)}" for library, modules in absent.items())
        raise ConfigurationError(
            f"not installed of `libraries`: {needs}",
            remedy="install them where the engine is, `pip install '.[libraries]'`, or take them off the list",
        )

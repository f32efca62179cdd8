"""Functions of the library that copy, made over: no name comes from data, and nothing private is handed over."""

from __future__ import annotations

import copy
import functools
import types
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sandbox.names import USER_MODULE

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")
_COPIED: Final = ("__name__", "__qualname__", "__doc__")
"""Not `__annotations__`: `singledispatch` evaluates them; not `__dict__` and `__module__`: they mark what is whose."""


def wraps(wrapped: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`functools.wraps(fn)`: name and text go over, and what is wrapped is known to be it."""

    def decorate(wrapper: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(wrapper, types.FunctionType) and wrapper.__module__ == USER_MODULE:
            for name in _COPIED:
                text = getattr(wrapped, name, None)
                if type(text) is str:
                    setattr(wrapper, name, text)
            if isinstance(wrapped, types.FunctionType):
                wrapper.__wrapped__ = wrapped  # type: ignore[attr-defined]  # what signatures are read from
        return wrapper

    return decorate


def total_ordering(cls: type[Value]) -> type[Value]:
    """`functools.total_ordering`, of the author's own classes."""
    if not isinstance(cls, type) or cls.__module__ != USER_MODULE:
        raise TypeError("total_ordering is for classes of your own")
    return functools.total_ordering(cls)


class singledispatch:  # noqa: N801  the library's name
    """`functools.singledispatch`; `register` is told the class, since annotations are stripped."""

    __slots__ = ("_dispatcher",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._dispatcher = functools.singledispatch(function)

    def register(self, cls: Any, function: Callable[..., Any] | None = None) -> Any:
        """`@f.register(int)`, or `f.register(int, function)`."""
        if not isinstance(cls, type | types.UnionType):
            raise TypeError("name the class: @f.register(int); annotations are stripped here")
        if function is None:
            return lambda chosen: self.register(cls, chosen)
        return self._dispatcher.register(cls, function)

    def dispatch(self, cls: type) -> Callable[..., Any]:
        """The function for a class."""
        return self._dispatcher.dispatch(cls)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function for the first argument's class."""
        return self._dispatcher(*args, **kwargs)


class cached_property:  # noqa: N801  the library's name
    """`functools.cached_property`. Keeps values under keys of its own, whatever name it is told."""

    def __init__(self, func: Callable[[Any], Any]) -> None:
        self.func = func
        self.__doc__ = func.__doc__
        self._key = f"<cached {id(self)}>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The value, computed at the first read."""
        if instance is None:
            return self
        kept = instance.__dict__
        if self._key not in kept:
            kept[self._key] = self.func(instance)
        return kept[self._key]

    def __set__(self, instance: object, value: Any) -> None:
        instance.__dict__[self._key] = value

    def __delete__(self, instance: object) -> None:
        instance.__dict__.pop(self._key, None)


def deepcopy(x: Value, /) -> Value:
    """`copy.deepcopy(x)`; without `memo`, which collects the insides of what is copied."""
    return copy.deepcopy(x)


NAMES: Final[dict[str, Any]] = {
    "wraps": wraps,
    "total_ordering": total_ordering,
    "singledispatch": singledispatch,
    "cached_property": cached_property,
}

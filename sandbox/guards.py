"""What is asked at run time, and the builtins that a function has."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import importlib
import string
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from sandbox.policy import attribute_refusal
from sandbox.runtime.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

USER_MODULE: Final = "function"
_SPLIT: Final = importlib.import_module(
    "_string"
).formatter_field_name_split  # what string.Formatter itself uses


class _Formatter(string.Formatter):
    """`str.format` that reads no attribute the compiler would refuse: its names come from data."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, int | str]:
        first, rest = _SPLIT(field_name)
        value = self.get_value(first, args, kwargs)
        for is_attribute, name in rest:
            if is_attribute:
                if name.startswith("_") or attribute_refusal(name) or name in {"format", "format_map"}:
                    raise AttributeError(f"format may not read the attribute {name}")
                value = getattr(value, name)
            else:
                value = value[name]
        return value, first


_FORMATTER: Final = _Formatter()


def format_guard(value: Any, name: str) -> Any:
    """`value.format` and `value.format_map`."""
    if isinstance(value, str):
        if name == "format":
            return lambda *args, **kwargs: _FORMATTER.vformat(str(value), args, kwargs)
        return lambda mapping: _FORMATTER.vformat(str(value), (), mapping)
    if isinstance(value, type) and issubclass(value, str):
        if name == "format":
            return lambda text, *args, **kwargs: _FORMATTER.vformat(str(text), args, kwargs)
        return lambda text, mapping: _FORMATTER.vformat(str(text), (), mapping)
    return getattr(value, name)


def write_guard(value: Any) -> Any:
    """The object whose attribute is stored or deleted: instances of a function's own classes, these, its functions."""
    owner = value if isinstance(value, type | types.FunctionType) else type(value)
    if owner.__module__ != USER_MODULE:
        raise TypeError(
            f"attributes of {type(value).__name__} can't be set here; keep the value in a dict or a class of your own"
        )
    return value


def type_guard(value: Any) -> type:
    """`type(x)` with one argument, of anything but a class or a function."""
    if isinstance(value, type | types.FunctionType | types.CodeType):
        raise TypeError("type() of a class or function is not available; use isinstance")
    return type(value)


def type_name(value: Any) -> str:
    """`type(x).__name__`."""
    return type(value).__name__


def _getattr(value: Any, name: str, *default: Any) -> Any:
    return getattr(value, name, *default)


def _hasattr(value: Any, name: str) -> bool:
    return hasattr(value, name)


GUARDS: Final[dict[str, object]] = {
    "_format_": format_guard,
    "_write_": write_guard,
    "_type_name_": type_name,
    "_getattr_": _getattr,
    "_hasattr_": _hasattr,
    "_Fatal_": (Fatal, asyncio.CancelledError),
    "_Annotation_": object,
    "_ClassVar_": typing.ClassVar,
    "_InitVar_": dataclasses.InitVar,
    "_KW_ONLY_": dataclasses.KW_ONLY,
}
"""Names that compiled code uses; a function can't spell them, its own underscores are renamed."""

_SAFE_BUILTINS: Final = (
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter float format"
    " frozenset hash hex id int isinstance issubclass iter len list map max min next object oct ord pow property range repr"
    " reversed round set slice sorted staticmethod str sum super tuple zip aiter anext"
    " True False None NotImplemented Ellipsis __build_class__ __debug__"
).split()
_EXCEPTIONS: Final = tuple(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)


def builtins_for(importer: Callable[..., Any], scope: dict[str, object]) -> dict[str, object]:
    """The builtins of one module."""
    offered: dict[str, object] = {name: getattr(builtins, name) for name in (*_SAFE_BUILTINS, *_EXCEPTIONS)}
    offered["type"] = type_guard
    offered["__import__"] = importer
    offered["print"] = scope.get("print", lambda *_values, **_options: None)
    return offered

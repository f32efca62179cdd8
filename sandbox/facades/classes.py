"""What makes classes: `dataclasses`, `enum`, `namedtuple`, `typing`.

Names of fields and members come from class bodies, where the compiler judged them, or are judged here. Left as they are, these would let data choose names: `Enum("X", {"__match_args__": …})`, or `dataclass` on a class whose
annotations were made by `TypedDict("X", {…})`, which it writes into source and executes.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import inspect
import typing
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from sandbox.names import FORMATS, USER_MODULE, field_refusal, mangle, unmangle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# --- dataclasses


def dataclass(cls: Any = None, /, **options: Any) -> Any:
    """`dataclasses.dataclass`, of the author's own classes."""
    if cls is None:
        return lambda chosen: dataclass(chosen, **options)
    if not isinstance(cls, type) or cls.__module__ != USER_MODULE:
        raise TypeError("dataclass is for classes of your own: @dataclass above a class statement")
    for name in inspect.get_annotations(cls):
        reason = field_refusal(name)
        if reason:
            raise TypeError(f"{name!r} can't be a field: {reason}")
    made = _without_formats(dataclasses.dataclass(**options)(cls))
    if "__repr__" in vars(made) and any(
        unmangle(field.name) != field.name for field in dataclasses.fields(made)
    ):
        shown = made.__repr__
        made.__repr__ = lambda self: unmangle(shown(self))
    return made


def _without_formats(made: Any, /) -> Any:
    """`match` reads fields past every guard: a class with one called `format` would lend that read to any text."""
    if not FORMATS.isdisjoint(getattr(made, "__match_args__", ())):
        made.__match_args__ = ()  # type: ignore[misc]  # of a class, whichever it is
    return made


def asdict(value: Any, *, dict_factory: Callable[[list[tuple[str, Any]]], Any] = dict) -> Any:
    """`dataclasses.asdict`, with private fields under the names their author wrote."""
    return dataclasses.asdict(
        value, dict_factory=lambda pairs: dict_factory([(unmangle(k), v) for k, v in pairs])
    )


def replace(obj: Any, /, **changes: Any) -> Any:
    """`dataclasses.replace`, with private fields under the names their author wrote."""
    return dataclasses.replace(obj, **{mangle(name): value for name, value in changes.items()})


# --- enum


class EnumType(enum.EnumMeta):
    """Makes no class from a call: members are written in a class body."""

    def __call__(cls, value: Any, *args: Any, **options: Any) -> Any:
        """The member of a value."""
        if not cls.__members__:
            raise TypeError(
                f"write the class: class Name({cls.__name__}): …; {cls.__name__}() makes none here"
            )
        if options:
            raise TypeError(f"{cls.__name__} takes no keywords")
        return super().__call__(value, *args)


class Enum(enum.Enum, metaclass=EnumType):
    """`enum.Enum`."""


class IntEnum(enum.IntEnum, metaclass=EnumType):
    """`enum.IntEnum`."""


class StrEnum(enum.StrEnum, metaclass=EnumType):
    """`enum.StrEnum`."""


class Flag(enum.Flag, metaclass=EnumType):
    """`enum.Flag`."""


class IntFlag(enum.IntFlag, metaclass=EnumType):
    """`enum.IntFlag`."""


# --- namedtuple, NamedTuple, TypedDict


def namedtuple(
    typename: str,
    field_names: str | Iterable[str],
    *,
    rename: bool = False,
    defaults: Iterable[Any] | None = None,
) -> type[tuple[Any, ...]]:
    """`collections.namedtuple`; its fields are judged as attribute names are."""
    names = field_names.replace(",", " ").split() if isinstance(field_names, str) else list(field_names)
    exact = [str.__str__(name) for name in names]
    for name in exact:
        reason = "" if rename and not name.isidentifier() else field_refusal(name)
        if reason:
            raise ValueError(f"{name!r} can't be a field: {reason}")
    make: Any = collections.namedtuple  # noqa: PYI024  what its author asked for
    kind: type[tuple[Any, ...]] = make(
        str.__str__(typename), exact, rename=bool(rename), defaults=defaults, module=USER_MODULE
    )
    return cast("type[tuple[Any, ...]]", _without_formats(kind))


_NAMED_TUPLE: Final[Any] = typing.NamedTuple.__mro_entries__((typing.NamedTuple,))[0]  # type: ignore[attr-defined]  # a function in truth


class _NamedTupleType(type(_NAMED_TUPLE)):  # type: ignore[misc]  # its own metaclass, whichever that is
    """Metaclass of `NamedTuple`, for as long as the class statement runs."""

    def __new__(cls, name: str, bases: tuple[Any, ...], body: dict[str, Any]) -> Any:
        bases = tuple(_NAMED_TUPLE if base is _BASE else base for base in bases)
        return _without_formats(super().__new__(cls, name, bases, body))


_BASE: Final[Any] = type.__new__(_NamedTupleType, "NamedTuple", (), {})


class _BodyOnly:
    """A base class of `typing` that is a function in truth: inherited from, never called."""

    __slots__ = ("_entries", "_name")

    def __init__(self, name: str, entries: tuple[Any, ...]) -> None:
        self._name = name
        self._entries = entries

    def __mro_entries__(self, _bases: tuple[Any, ...]) -> Any:
        return self._entries

    def __call__(self, *_args: Any, **_options: Any) -> NoReturn:
        raise TypeError(f"write the class: class Name({self._name}): …")

    def __repr__(self) -> str:
        return f"typing.{self._name}"


NamedTuple: Final = _BodyOnly("NamedTuple", (_BASE,))
TypedDict: Final = _BodyOnly("TypedDict", typing.TypedDict.__mro_entries__((typing.TypedDict,)))  # type: ignore[attr-defined]  # as above

DATACLASSES: Final[dict[str, Any]] = {"dataclass": dataclass, "asdict": asdict, "replace": replace}
ENUM: Final[dict[str, Any]] = {
    "Enum": Enum,
    "IntEnum": IntEnum,
    "StrEnum": StrEnum,
    "Flag": Flag,
    "IntFlag": IntFlag,
}

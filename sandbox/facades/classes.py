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
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sandbox.names import USER_MODULE, field_refusal, unmangle

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
    return dataclasses.dataclass(**options)(cls)


def asdict(value: Any, *, dict_factory: Callable[[list[tuple[str, Any]]], Any] = dict) -> Any:
    """`dataclasses.asdict`, with private fields under the names their author wrote."""
    return dataclasses.asdict(
        value, dict_factory=lambda pairs: dict_factory([(unmangle(k), v) for k, v in pairs])
    )


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
        str.__str__(typename), exact, rename=rename, defaults=defaults, module=USER_MODULE
    )
    return kind


class _BodyOnly:
    """A base class of `typing` that is a function in truth: inherited from, never called."""

    __slots__ = ("_name", "_real")

    def __init__(self, real: Any) -> None:
        self._real = real
        self._name = real.__name__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> Any:
        return self._real.__mro_entries__(tuple(self._real if base is self else base for base in bases))

    def __call__(self, *_args: Any, **_options: Any) -> NoReturn:
        raise TypeError(f"write the class: class Name({self._name}): …")

    def __repr__(self) -> str:
        return f"typing.{self._name}"


NamedTuple: Final = _BodyOnly(typing.NamedTuple)
TypedDict: Final = _BodyOnly(typing.TypedDict)

DATACLASSES: Final[dict[str, Any]] = {"dataclass": dataclass, "asdict": asdict}
ENUM: Final[dict[str, Any]] = {
    "Enum": Enum,
    "IntEnum": IntEnum,
    "StrEnum": StrEnum,
    "Flag": Flag,
    "IntFlag": IntFlag,
}

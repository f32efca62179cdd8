"""What is asked at run time, and the builtins that a function has.

Guards stand in a module's globals under names that aren't identifiers, so that no source can read or replace them.
"""

from __future__ import annotations

import _string  # what `string.Formatter` is made of
import builtins
import dataclasses
import decimal
import functools
import inspect
import string
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from sandbox.facades.requests import Session
from sandbox.names import FORMATS, PLAIN_UNDERSCORE, USER_MODULE, attribute_refusal, mangle, unmangle
from sandbox.runtime.ending import covered, covering, endings, is_ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# --- Format strings: they read attributes that data names


class _Formatter(string.Formatter):
    """`str.format` that reads no attribute which the compiler would refuse."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, int | str]:
        first, rest = _string.formatter_field_name_split(field_name)
        value = self.get_value(first, args, kwargs)
        for is_attribute, name in rest:
            if is_attribute:
                reason = attribute_refusal(name)
                if reason:
                    raise AttributeError(f"a format string can't read the attribute {name}: {reason}")
                value = format_guard(value, name) if name in FORMATS else getattr(value, mangle(name))
            else:
                value = value[name]
        return value, first


_FORMATTER: Final = _Formatter()
_TEXTS_KEPT: Final = 256


@functools.lru_cache(_TEXTS_KEPT)
def _reads_no_attribute(text: str) -> bool:
    try:
        return not any(
            (field is not None and "." in field) or (spec and "{" in spec)
            for _, field, spec, _ in _string.formatter_parser(text)
        )
    except ValueError:  # malformed: the native method reports it
        return True


def _format(text: str, /, *args: Any, **kwargs: Any) -> str:
    text = str.__str__(text)  # of a subclass: its characters, not what its methods answer
    return (
        text.format(*args, **kwargs) if _reads_no_attribute(text) else _FORMATTER.vformat(text, args, kwargs)
    )


def _format_map(text: str, mapping: Mapping[str, Any], /) -> str:
    text = str.__str__(text)
    return text.format_map(mapping) if _reads_no_attribute(text) else _FORMATTER.vformat(text, (), mapping)


_SAFE_FORMATS: Final = {"format": _format, "format_map": _format_map}


def format_guard(value: Any, name: str) -> Any:
    """`value.format` and `value.format_map`, of whatever has them.

    Judged by what was found, not by what it was asked of: `super()` and proxies answer with the native method too.
    """
    found = getattr(value, name)
    if isinstance(found, types.BuiltinMethodType) and isinstance(found.__self__, str):
        return functools.partial(_SAFE_FORMATS[name], found.__self__)
    if found is str.format or found is str.format_map:
        return _SAFE_FORMATS[name]
    return found


# --- Attributes


_SETTABLE: Final = frozenset({decimal.Context, Session})
"""Classes of ours of which an author has objects of his own, and may set every attribute that they have."""


def write_guard(value: Any) -> Any:
    """The object whose attribute is stored or deleted, if that changes nothing but the author's own.

    That is: classes and functions he made, their instances, errors, and `_SETTABLE`.
    """
    kind = type(value)
    if kind.__module__ == USER_MODULE or isinstance(value, BaseException) or kind in _SETTABLE:
        return value
    if isinstance(value, type | types.FunctionType) and value.__module__ == USER_MODULE:
        return value
    raise TypeError(
        f"attributes of {kind.__name__} can't be set here; keep the value in a dict or in a class of your own"
    )


def set_guard(value: Any, name: str, new: Any) -> None:
    """`object.__setattr__(value, "name", new)`, as frozen dataclasses use it; `name` was judged when compiled."""
    object.__setattr__(write_guard(value), name, new)


def get_guard(value: Any, name: str, *default: Any) -> Any:
    """`getattr(value, "name"[, default])`; `name` was judged when compiled."""
    return getattr(value, name, *default)


def has_guard(value: Any, name: str) -> bool:
    """`hasattr(value, "name")`; `name` was judged when compiled."""
    return hasattr(value, name)


class Kind:
    """Stands for a class that isn't offered: it can be named and compared, and neither called nor inherited from."""

    __name__: str

    def __repr__(self) -> str:
        return f"<class {self.__name__!r}>"


_KINDS: Final[dict[type, Kind]] = {}
_OFFERED_TYPES: Final[set[type]] = {type(None), type(...), type(NotImplemented)}


def offer_types(values: Iterable[object]) -> None:
    """Classes among what is offered are what `type(x)` may answer with."""
    _OFFERED_TYPES.update(value for value in values if isinstance(value, type))


def type_guard(value: Any) -> Any:
    """`type(x)`, of anything but a class or a function: their types make classes and functions from data.

    A class that is neither offered nor the author's own answers as a `Kind`: nobody thought about what can be made by
    it (a `dataclasses.Field` writes its name into source that is executed).
    """
    if isinstance(value, type | types.FunctionType | types.CodeType):
        raise TypeError("type() of a class or function is not available; use isinstance, or type(x).__name__")
    kind = type(value)
    if kind in _OFFERED_TYPES or kind.__module__ == USER_MODULE or issubclass(kind, BaseException):
        return kind
    if kind not in _KINDS:
        _KINDS[kind] = Kind()
        _KINDS[kind].__name__ = kind.__name__
    return _KINDS[kind]


def type_name(value: Any) -> str:
    """`type(x).__name__`."""
    return type(value).__name__


# --- Calls and context managers


def _is_builtin_callable(value: object) -> bool:
    """As the library's own, but for its `value in (type, object)`: that asks an author's `__eq__`, and shows it `type`."""
    return (
        inspect.isbuiltin(value)
        or inspect.ismethoddescriptor(value)
        or isinstance(
            value, types.WrapperDescriptorType | types.MethodWrapperType | types.ClassMethodDescriptorType
        )
        or value is type
        or value is object
    )


# Signatures are asked for here, by dataclasses and by libraries. CPython mends it in 3.13.
vars(inspect)["_signature_is_builtin"] = _is_builtin_callable


def keyword_guard(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """A call with private keywords. The author's own functions know them mangled; `dict(_id=…)` means what it says."""
    callee = getattr(function, "__func__", function)
    if isinstance(callee, functools.partial):
        callee = callee.func
    if getattr(callee, "__module__", None) != USER_MODULE:
        return function(*args, **kwargs)
    try:
        parameters = set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        parameters = set()
    return function(
        *args, **{mangle(key) if mangle(key) in parameters else key: kwargs[key] for key in kwargs}
    )


def exit_guard(method: Any) -> Any:
    """An `__exit__` that can't hold back what ends the invocation, nor put another error in its place."""

    def leave(*args: Any) -> Any:
        is_over = any(is_ending(arg) for arg in args)
        try:
            answer = method(*args)
        except BaseException:
            if not is_over:
                raise
        return False if is_over else answer

    return leave


def async_exit_guard(method: Any) -> Any:
    """The same for an `__aexit__`, which need not be an `async def`."""

    async def leave(*args: Any) -> Any:
        is_over = any(is_ending(arg) for arg in args)
        try:
            answer = await method(*args)
        except BaseException:
            if not is_over:
                raise
        return False if is_over else answer

    return leave


def lookup_guard(method: Any) -> Any:
    """A `__getattr__` that is asked for its author's names alone.

    Libraries look for protocols by private names of theirs: who answers to those is handed an object's insides
    (`__deepcopy__` a memo of all that is copied, `__setstate__` a `__dict__`, `_asyncio_future_blocking` a task).
    """

    def look_up(*args: Any) -> Any:
        name = args[-1]
        if name.startswith("_") and name not in PLAIN_UNDERSCORE:
            raise AttributeError(f"{type(args[0]).__name__!r} object has no attribute {name!r}")
        return method(*args[:-1], unmangle(name))

    return look_up


def _outermost(guard: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The guard as the last decorator of a method, whatever the author's own decorators made of it."""

    def decorate(method: Any) -> Any:
        kind = type(method)
        if kind is staticmethod or kind is classmethod:
            return kind(decorate(method.__func__))
        if kind is not types.FunctionType:
            raise TypeError("a decorator of __exit__, __aexit__ or __getattr__ must return a function")
        return functools.wraps(method)(guard(method))

    return decorate


# --- Objects that others use too


def init_guard(value: Any) -> Any:
    """`Base.__init__` and `super(Base, self).__init__`, for objects of the author's own: a second `__init__` refills one."""
    if not isinstance(value, type):
        owner = value.__self__ if isinstance(value, super) else value  # type: ignore[attr-defined]  # it has one
        if type(owner).__module__ != USER_MODULE:
            raise TypeError("__init__ of an object can't be called here; make a new one")
        return getattr(value, "__init__")  # noqa: B009  of whatever class it is
    method = getattr(value, "__init__")  # noqa: B009  of whatever class it is

    def initialize(*args: Any, **kwargs: Any) -> Any:
        if not args or type(args[0]).__module__ != USER_MODULE:
            raise TypeError(f"{value.__name__}.__init__ is for objects of your own classes")
        return method(*args, **kwargs)

    return initialize


def members_guard(value: Any) -> Any:
    """`Enum.__members__`: a copy, since a mapping proxy hands what it stands for to `==` and `|` of others."""
    return types.MappingProxyType(dict(value.__members__))


FORMAT, WRITE, SET, GET, HAS = "<format>", "<write>", "<set>", "<get>", "<has>"
TYPE, TYPE_NAME, KEYWORDS, INIT, MEMBERS, ANNOTATION = (
    "<type>",
    "<type name>",
    "<keywords>",
    "<init>",
    "<members>",
    "<annotation>",
)
ENDINGS, COVERING, COVERED = "<endings>", "<covering>", "<covered>"
METHOD_GUARDS: Final = {"__exit__": "<exit>", "__aexit__": "<aexit>", "__getattr__": "<getattr>"}
"""Method of a class → the decorator that is put before all others."""
KEPT_ANNOTATIONS: Final = {"ClassVar": "<ClassVar>", "InitVar": "<InitVar>", "KW_ONLY": "<KW_ONLY>"}
"""Annotations of a class body that dataclasses treat apart; all others become `object`."""

GUARDS: Final[dict[str, object]] = {
    FORMAT: format_guard,
    WRITE: write_guard,
    SET: set_guard,
    GET: get_guard,
    HAS: has_guard,
    TYPE: type_guard,
    TYPE_NAME: type_name,
    KEYWORDS: keyword_guard,
    INIT: init_guard,
    MEMBERS: members_guard,
    ENDINGS: endings,
    COVERING: covering,
    COVERED: covered,
    METHOD_GUARDS["__exit__"]: _outermost(exit_guard),
    METHOD_GUARDS["__aexit__"]: _outermost(async_exit_guard),
    METHOD_GUARDS["__getattr__"]: _outermost(lookup_guard),
    ANNOTATION: object,
    KEPT_ANNOTATIONS["ClassVar"]: typing.ClassVar,
    KEPT_ANNOTATIONS["InitVar"]: dataclasses.InitVar,
    KEPT_ANNOTATIONS["KW_ONLY"]: dataclasses.KW_ONLY,
}

_SAFE_BUILTINS: Final = (
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter float format"
    " frozenset hash hex id int isinstance issubclass iter len list map max min next object oct ord pow property range repr"
    " reversed round set slice sorted staticmethod str sum super tuple zip aiter anext"
    " True False None NotImplemented Ellipsis __build_class__ __debug__"
)
_EXCEPTIONS: Final = tuple(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)
OFFERED_BUILTINS: Final = frozenset((*_SAFE_BUILTINS.split(), *_EXCEPTIONS, "type", "print"))
"""Names that a function has without import."""


_BUILTINS: Final[dict[str, object]] = {
    **{name: getattr(builtins, name) for name in (*_SAFE_BUILTINS.split(), *_EXCEPTIONS)},
    "type": type_guard,
}
"""Made once, in the zygote: copying it in each worker would touch, and so copy, pages of half the interpreter."""
offer_types(_BUILTINS.values())


def builtins_for(importer: Callable[..., Any], scope: dict[str, object]) -> dict[str, object]:
    """The builtins of this process's module: it has one in its life, and no name by which code could reach the dict."""
    _BUILTINS["__import__"] = importer
    _BUILTINS["print"] = scope.get("print", lambda *_values, **_options: None)
    return _BUILTINS

"""Names: which an author may use, and what private ones become.

The same decisions when a source is compiled (`policy`), when a format string is read (`guards`), and when a library
makes a class from names (`facades`).
"""

from __future__ import annotations

import types
import unicodedata
from typing import Final

USER_MODULE: Final = "function"
"""`__name__` of a function's module, and `__module__` of its classes and functions: the mark of what is the author's."""

MARK: Final = "\N{MODIFIER LETTER LOW MACRON}"
"""Stands for the first underscore of a private name: looks like one, survives NFKC (dataclasses write source with
field names in it), and no library uses it. Sources that spell it are refused."""

_DOCUMENTED: Final = "_ _asdict _replace _fields _make _field_defaults _missing_ _generate_next_value_ _value_ _name_ _ignore_ _order_"
PLAIN_UNDERSCORE: Final = frozenset(_DOCUMENTED.split())
"""One-underscore names that the library documents for use."""

_COMMON: Final = frozenset(
    name for kind in (dict, list, set, str, bytes, int, float, tuple, BaseException) for name in dir(kind)
) | {"send", "throw", "close", "asend", "athrow", "aclose"}
_INSPECTED: Final = (
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.FrameType,
    types.TracebackType,
    types.CodeType,
)
REFUSED_ATTRIBUTES: Final = (
    frozenset(name for kind in _INSPECTED for name in dir(kind) if not name.startswith("_")) - _COMMON
) | frozenset(
    "mro obj with_traceback get_loop get_stack get_coro get_context print_stack add_done_callback no_cache".split()
)
"""Read from this interpreter's own types, so that names that a new version adds are covered; and by hand: of classes,
`AttributeError`, errors, futures and tasks (a coroutine's `send` returns what it waits for), and `ZoneInfo` (a file)."""

_OPERATORS: Final = (
    "eq ne lt le gt ge len length_hint getitem setitem delitem contains iter next reversed call enter exit aenter aexit aiter"
    " anext await add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv floordiv rfloordiv ifloordiv mod rmod"
    " imod pow rpow ipow divmod rdivmod neg pos abs invert and rand iand or ror ior xor rxor ixor lshift rlshift ilshift"
    " rshift rrshift irshift matmul rmatmul imatmul int float complex index round trunc floor ceil hash bool repr str bytes"
    " copy missing class_getitem fspath"
)
READABLE_DUNDERS: Final = frozenset(
    f"__{name}__"
    for name in f"{_OPERATORS} post_init name qualname module doc match_args cause context".split()
)
"""What may be read of anything: methods and texts that lead nowhere."""
SUPER_DUNDERS: Final = READABLE_DUNDERS | {"__init__", "__new__", "__init_subclass__", "__format__"}
"""What may be read of `super()`. Not `__set_name__` and `__get__`: called with data they reach an object's `__dict__`."""
CLASS_DUNDERS: Final = (
    SUPER_DUNDERS - {"__name__", "__qualname__", "__module__", "__cause__", "__context__"}
) | frozenset(["__getattr__", "__get__", "__set__", "__delete__", "__set_name__", "__slots__"])
"""What a class may define. Not `__class__`, `__del__`, `__reduce__`, `__getattribute__`: libraries trust those; nor
`__deepcopy__`: its memo collects the insides of what is copied."""
GUARDED_METHODS: Final = frozenset({"__exit__", "__aexit__", "__getattr__"})
"""What a class defines with `def` alone, so that a guard can stand before it."""
FORMATS: Final = frozenset({"format", "format_map"})
"""Read through a guard. `match` and `+=` read natively, so there these names are refused."""
LITERAL_DUNDERS: Final = frozenset({"__slots__", "__match_args__"})
"""Class variables that hold names: only written out, so that they can be judged."""
MODULE_DUNDERS: Final = frozenset(["__all__", "__author__", "__version__", "__doc__"])
"""What a module may define: customary, and read by no one."""


def is_dunder(name: str) -> bool:
    """`__x__`."""
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def mangle(name: str) -> str:
    """`_x` → `ˍx`, `__x` → `ˍ_x`; `__x__` and public names stay."""
    if name.startswith("_") and name not in PLAIN_UNDERSCORE and not is_dunder(name):
        return MARK + name[1:]
    return name


def class_private(name: str, class_name: str) -> str:
    """`__x` in a class body → `_Class__x`, as Python has it, so that a subclass may have one of its own."""
    if name.startswith("__") and not name.endswith("__") and (owner := class_name.lstrip("_")):
        return f"_{owner}{name}"
    return name


def unmangle(text: str) -> str:
    """The name as its author wrote it."""
    return text.replace(MARK, "_")


def attribute_refusal(name: str) -> str:
    """Why an attribute of this name may not be read or written, or an empty string."""
    if is_dunder(name):
        return "" if name in READABLE_DUNDERS else "it leads out of the sandbox"
    if name in REFUSED_ATTRIBUTES:
        return "it leads behind what a function may use"
    return ""


def field_refusal(name: object) -> str:
    """Why a library may not make a class with a field of this name, or an empty string.

    Fields become attribute names that `match` reads of other objects, and parts of source that the library executes.
    """
    if type(name) is not str or not name.isidentifier():
        return "it isn't an identifier"
    if unicodedata.normalize("NFKC", name) != name:  # source that is executed would mean another name
        return "its letters have a plainer form"
    if is_dunder(name):
        return "it is one of Python's own names"
    return attribute_refusal(name)

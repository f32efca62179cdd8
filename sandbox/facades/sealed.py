"""Classes of libraries as a function sees them: called, and asked for with `isinstance`; never inherited from.

What inherits from a library's class is handed the library's insides, and may answer for them (a cipher whose key isn't as long
as it says). What a sealed class makes are the library's own objects.
"""

from __future__ import annotations

from typing import Any, Final

_REAL: Final[dict[type, Any]] = {}


class _Sealed(type):
    """Metaclass of sealed classes: none is made by a class statement."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _Sealed:
        if bases:
            raise TypeError(
                f"{bases[0].__name__} can't be inherited from here; keep one in a class of your own"
            )
        return super().__new__(cls, name, bases, body)

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """The library's object."""
        return _REAL[cls](*args, **options)

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _REAL[cls])


def sealed(real: Any, names: str = "") -> type:
    """Stands for the class `real`. `names` are its class methods and constants that are visible, separated by spaces."""
    body = {name: _static(getattr(real, name)) for name in names.split()}
    made = _Sealed(real.__name__, (), {**body, "__doc__": real.__doc__, "__slots__": ()})
    _REAL[made] = real
    return made


def _static(value: Any) -> Any:
    return staticmethod(value) if callable(value) else value


def sealed_all(module: Any, names: str) -> dict[str, Any]:
    """The names of a module; of a class that is no error and no enum a sealed one."""
    return {name: _maybe_sealed(getattr(module, name)) for name in names.split()}


def _maybe_sealed(value: Any) -> Any:
    is_left = not isinstance(value, type) or issubclass(value, BaseException) or hasattr(value, "__members__")
    return value if is_left else sealed(value)

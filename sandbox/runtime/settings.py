"""`settings`: read-only, good for one invocation."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from sandbox.runtime.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

_STALE = (
    "settings was kept from an earlier invocation; it belongs to the call that got it: "
    "pass it on as an argument instead of storing it in a global"
)


class Settings:
    """`settings.apiKey`, `settings["apiKey"]`, `.get`, `in`. A missing one raises `InvalidSettings`, naming it."""

    __slots__ = ("_is_live", "_values")

    def __init__(self, values: dict[str, Any]) -> None:
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_is_live", True)

    def _read(self) -> dict[str, Any]:
        if not self._is_live:
            raise RuntimeError(_STALE)
        values: dict[str, Any] = self._values
        return values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        values = self._read()
        try:
            value = values[name]
        except KeyError:
            known = ", ".join(sorted(values)) or "none"
            raise InvalidSettings(f"the setting {name!r} is missing; this destination has: {known}") from None
        return copy.deepcopy(value) if isinstance(value, dict | list) else value

    def get(self, name: str, default: Any = None) -> Any:
        """The setting, or `default` if it is missing."""
        return self[name] if name in self._read() else default

    def keys(self) -> list[str]:
        """The settings' names."""
        return list(self._read())

    def __contains__(self, name: object) -> bool:
        return name in self._read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._read())

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(f"settings are read-only; {name!r} can't be set")

    def __setitem__(self, name: str, value: Any) -> None:
        raise TypeError(f"settings are read-only; {name!r} can't be set")

    def __repr__(self) -> str:
        return f"Settings({', '.join(sorted(self._values))})"


def retire(settings: Settings) -> None:
    """The invocation it was made for has ended: whoever kept it is told."""
    object.__setattr__(settings, "_is_live", False)

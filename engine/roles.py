"""Roles, and what somebody was given of them. Written as text everywhere: `owner`, `functions-admin`, `functions-admin=shop`.

| role | may |
|---|---|
| `owner` | everything |
| `functions-admin` | make, change, deploy and remove functions, and run their destinations; all, or those named |
| `functions-read-only` | look at functions, their destinations and how they do; all, or those named |
| `source-admin` | make and change sources; besides `functions-admin`: connect, deploy to, and remove destinations there are |
| `ingest` | know write keys, and send events to sources |
| `metrics` | read what is measured: what a scraper needs |
| `payloads` | see what events hold, in whatever else may be looked at; of all functions, or those named |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Role(StrEnum):
    """One of the table above."""

    OWNER = "owner"
    FUNCTIONS_ADMIN = "functions-admin"
    FUNCTIONS_READ_ONLY = "functions-read-only"
    SOURCE_ADMIN = "source-admin"
    INGEST = "ingest"
    METRICS = "metrics"
    PAYLOADS = "payloads"


SCOPED: Final = frozenset({Role.FUNCTIONS_ADMIN, Role.FUNCTIONS_READ_ONLY, Role.PAYLOADS})
"""Those that can be given for some functions only."""
INCLUDED: Final[Mapping[Role, tuple[Role, ...]]] = MappingProxyType(
    {
        Role.OWNER: tuple(Role),
        Role.FUNCTIONS_ADMIN: (Role.FUNCTIONS_READ_ONLY, Role.METRICS),
        Role.FUNCTIONS_READ_ONLY: (Role.METRICS,),
        Role.SOURCE_ADMIN: (Role.INGEST,),
    }
)
"""Who has one has these, too, for the same functions."""
NAME_CHARS_MAX: Final = 120
"""Of a function."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What somebody was given, and what that includes."""

    texts: tuple[str, ...]
    """As it was written, sorted."""
    scopes: Mapping[Role, frozenset[str] | None]
    """Role → the functions it is given for; None is all. A role that isn't here isn't given."""

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Of `ROLE` and `ROLE=FUNCTION`, in any order. Raises `UsageError` with everything that is wrong."""
        scopes: dict[Role, frozenset[str] | None] = {}
        problems: list[str] = []
        written = sorted(set(texts))
        for text in written:
            try:
                role, functions = _parsed(text)
            except ValueError as error:
                problems.append(str(error))
                continue
            for each in (role, *INCLUDED.get(role, ())):
                before = scopes.get(each, frozenset())
                scopes[each] = None if functions is None or before is None else before | functions
        if problems:
            raise UsageError(
                "; ".join(problems),
                remedy=f"there are {', '.join(Role)}; ROLE=FUNCTION gives one for a function",
            )
        return cls(tuple(written), MappingProxyType(scopes))

    def everywhere(self, role: Role) -> bool:
        """It is given for all functions, those to come too."""
        return self.scopes.get(role, frozenset()) is None

    def anywhere(self, role: Role) -> bool:
        """It is given, if only for some function."""
        return role in self.scopes

    def has(self, role: Role, function: str | None) -> bool:
        """It is given for this function; for None, which is no function, if it is given for all."""
        scope = self.scopes.get(role, frozenset())
        return scope is None or function in scope


def _parsed(text: str) -> tuple[Role, frozenset[str] | None]:
    name, is_scoped, function = text.partition("=")
    try:
        role = Role(name)
    except ValueError:
        raise ValueError(f"{name[:40]!r} is no role") from None
    if not is_scoped:
        return role, None
    if role not in SCOPED:
        raise ValueError(f"{role} can't be given for one function")
    if not 0 < len(function) <= NAME_CHARS_MAX:
        raise ValueError(f"a function's name has 1 to {NAME_CHARS_MAX} characters; not {function[:40]!r}")
    return role, frozenset({function})


ALL: Final = Grants.parse([Role.OWNER])
"""The daemon's own user, and root."""

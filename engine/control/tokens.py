"""Tokens: made, shown without what they are, taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.dispatch.shown import Rows, iso
from engine.errors import NotFound
from engine.roles import Grants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model import Token
    from engine.registry.store import Registry


class Tokens:
    """What can be done with tokens."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def create(self, *, name: str, roles: Sequence[str], expires_ms: int | None = None) -> dict[str, Any]:
        """A new one, with the `token` itself, which is never shown again.

        Raises `UsageError` for roles that there aren't, or a time that is past, `Conflict` if the name is taken.
        """
        made, text = self._registry.tokens.create(name, Grants.parse(roles), expires_ms)
        return {**_row(made), "token": text}

    def list(self) -> Rows:
        """A row a token, by name: those that have expired too."""
        return [_row(token) for token in self._registry.tokens.all()]

    def remove(self, *, name: str) -> dict[str, Any]:
        """Nobody is known by it from now on, on no connection. Raises `NotFound`."""
        token = self._registry.tokens.get(name)
        if token is None:
            raise NotFound(
                f"there is no token named {name!r}", remedy="`engine token list` shows those there are"
            )
        self._registry.tokens.remove(token)
        return {"name": name}


def _row(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "roles": list(token.grants.texts),
        "created": iso(token.created_ms),
        "expires": None if token.expires_ms is None else iso(token.expires_ms),
        "used": None if token.used_ms is None else iso(token.used_ms),
    }

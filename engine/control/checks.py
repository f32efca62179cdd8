"""What a change must satisfy before anything is stored: pure, each with everything that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

from engine.errors import UsageError
from engine.registry.settings_schema import check_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model import Destination, FunctionVersion

VALUES_MAX: Final = 200
"""Settings of a destination whose function declares none."""


def joined_values(
    version_schema: Any, stored: Mapping[str, Any], changes: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The stored values with the changes: None takes one away. Raises `UsageError` with everything that is wrong.

    Stored values that the schema doesn't know stay: an older version, which may be deployed again, knows them.
    """
    joined = {name: value for name, value in {**stored, **changes}.items() if value is not None}
    if version_schema is None:
        _check_free(joined, where)
        return joined
    known = {setting.name for setting in version_schema}
    asked = {name: value for name, value in joined.items() if name in known or name in changes}
    try:
        checked = check_values(version_schema, asked)
    except UsageError as error:
        error.message = f"{where}: {error.message}"
        raise
    return {**{name: value for name, value in joined.items() if name not in known}, **checked}


def _check_free(values: Mapping[str, Any], where: str) -> None:
    if len(values) > VALUES_MAX:
        raise UsageError(
            f"{where}: there are {len(values)} settings; {VALUES_MAX} are allowed", remedy="set fewer"
        )
    try:
        msgpack.packb(dict(values))
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"{where}: the settings can't be stored: {error}", remedy="use the types that JSON has"
        ) from None


def check_moves(moves: list[tuple[Destination, dict[str, Any]]], version: FunctionVersion) -> None:
    """Every destination that is to run `version` has what it requires. Raises `UsageError` naming each that hasn't."""
    problems: list[str] = []
    missing: dict[str, list[str]] = {}
    remedy = ""
    for destination, values in moves:
        try:
            joined_values(version.schema, values, {}, destination.name)
        except UsageError as error:
            problems.append(error.message)
            missing[destination.name] = error.data.get("missing", [])
            remedy = error.remedy
    if problems:
        raise UsageError(
            "; ".join(problems),
            remedy=f"nothing was changed; `engine setting update NAME`: {remedy}",
            data={"missing_of": missing},
        )

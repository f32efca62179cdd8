"""What a request of the control API holds → the arguments of its operation. Pure.

A query is text: it is read as the types of the request model. A JSON body is passed on as it is, and judged by the daemon.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import parse_qsl

from pydantic import ValidationError

from engine.api.table import OPERATIONS, problems_of
from engine.errors import UsageError
from engine.gateway.refusals import WrongType

if TYPE_CHECKING:
    from engine.gateway.routes import Route

QUERY_FIELDS_MAX: Final = 20
_TYPES: Final = frozenset({b"", b"application/json"})


def of_query(route: Route, query: bytes, in_path: dict[str, str]) -> dict[str, Any]:
    """Raises `UsageError` naming every wrong argument."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            max_num_fields=QUERY_FIELDS_MAX,
            errors="strict",
        )
    except ValueError as error:
        raise UsageError(f"the query can't be read: {error}", remedy="write NAME=VALUE&…") from None
    given = dict(in_path)
    for name, value in pairs:
        if name in given:
            raise UsageError(f"{name[:80]!r} is given twice", remedy="give each argument once")
        given[name] = value
    model = OPERATIONS[route.operation].request
    try:
        request = model.model_validate_strings(given)
    except ValidationError as error:
        raise UsageError(
            f"{route.operation}: {problems_of(error)}", remedy="call it again with these arguments mended"
        ) from None
    return request.model_dump(by_alias=True, exclude_unset=True)


def of_body(content_type: bytes, body: bytes, in_path: dict[str, str]) -> dict[str, Any]:
    """Raises `UsageError` for what is no JSON object, or names an argument that the path has."""
    if content_type.partition(b";")[0].strip().lower() not in _TYPES:
        raise WrongType("the body is said to be something else than JSON", remedy="send application/json")
    given = parse_json(body) if body.strip() else {}
    if not isinstance(given, dict):
        raise UsageError("the body is no JSON object", remedy="send {NAME: VALUE, …}")
    for name in in_path:
        if name in given:
            raise UsageError(f"{name!r} is in the path and in the body", remedy="leave it out of the body")
    return {**given, **in_path}


def parse_json(body: bytes) -> Any:
    """A value. Raises `UsageError` for what isn't JSON (NaN isn't), or is nested too deep."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise UsageError("the body is nested too deep", remedy="send what is flatter") from None
    except ValueError as error:
        raise UsageError(f"the body is no JSON: {error}", remedy="send one JSON object, in UTF-8") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")

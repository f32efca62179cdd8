"""The description of the control API: OpenAPI 3.1, made of the routes, the request models and the models of answers."""

from __future__ import annotations

import functools
import json
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from engine.api.answers.table import ANSWERS, Refused, Submitted
from engine.api.table import OPERATIONS
from engine.gateway.refusals import STATUSES
from engine.gateway.routes import PREFIX, ROUTES, SUBMITS
from engine.gateway.submitting import Submit

if TYPE_CHECKING:
    from engine.gateway.routes import Route

PATH: Final = "/openapi.json"
_REF: Final = "#/components/schemas/{model}"
_MEANINGS: Final = {
    400: "The request can't be asked so.",
    401: "It shows no token, or one that isn't known.",
    403: "A role is missing; the message says which.",
    404: "There is no such thing.",
    405: "Not this method.",
    409: "Something that exists is in the way.",
    413: "The body is too long.",
    415: "The body isn't JSON.",
    422: "The function was refused: `data` says where and why.",
    429: "Too much for now; `Retry-After` says when again.",
    500: "A mistake of the engine; its log says more.",
    503: "The daemon isn't there, is stopping, or can't take this now.",
}
"""Of all that isn't 200."""


@functools.cache
def as_bytes() -> bytes:
    """The description as JSON."""
    return json.dumps(describe()).encode()


def describe() -> dict[str, Any]:
    """The description."""
    answers = {**ANSWERS, **dict.fromkeys(SUBMITS, Submitted), "": Refused}
    schemas, components = TypeAdapter.json_schemas(
        [(operation, "serialization", TypeAdapter(answer)) for operation, answer in answers.items()],
        by_alias=True,
        ref_template=_REF,
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        described = _operation(route, schemas[route.operation, "serialization"])
        paths.setdefault(route.path, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "engine",
            "version": metadata.version("engine"),
            "description": "Everything that the command line can do. Errors have one form: a stable code, what happened, "
            "what to do.",
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components["$defs"],
            "responses": {str(status): _refusal(status) for status in _MEANINGS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _refusal(status: int) -> dict[str, Any]:
    return {
        "description": _MEANINGS[status],
        "content": {"application/json": {"schema": {"$ref": _REF.format(model="Refused")}}},
    }


def _operation(route: Route, answer: dict[str, Any]) -> dict[str, Any]:
    model = OPERATIONS[route.operation].request if route.operation in OPERATIONS else Submit
    asked = model.model_json_schema(by_alias=True, ref_template=_REF)
    fields, required = asked.get("properties", {}), asked.get("required", [])
    others = {name: schema for name, schema in fields.items() if name not in route.in_path}
    described: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.meaning,
        "tags": [route.path.split("/")[1]],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": fields[name]} for name in route.in_path
        ],
        "responses": _responses(route, answer, has_body=bool(others) and not route.is_in_query),
    }
    if route.is_in_query:
        described["parameters"] += [
            {"name": name, "in": "query", "required": name in required, "schema": _as_text(schema)}
            for name, schema in others.items()
        ]
    elif others:
        wanted = [name for name in required if name in others]
        body = {"type": "object", "additionalProperties": False, "properties": others, "required": wanted}
        described["requestBody"] = {
            "required": bool(wanted),
            "content": {"application/json": {"schema": body}},
        }
    return described


def _as_text(schema: dict[str, Any]) -> dict[str, Any]:
    """In a query nothing is null: it is left out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if not kinds:
        return schema
    (kind,) = kinds
    return {**kind, "title": schema["title"]}


def _responses(route: Route, answer: dict[str, Any], *, has_body: bool) -> dict[str, Any]:
    media = "application/x-ndjson" if route.is_stream else "application/json"
    meaning = "A line an item; blank lines are signs of life." if route.is_stream else "Done."
    statuses = {*STATUSES.values(), 405, 413, *([415] if has_body else [])}
    return {
        "200": {"description": meaning, "content": {media: {"schema": answer}}},
        **{str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)},
    }

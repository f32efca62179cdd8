"""Errors as the Public API has them: {"errors": [{type, message, field, data, status}]}."""

from __future__ import annotations

from typing import Any, Final

from engine.errors import EngineError, UsageError
from engine.gateway.refusals import status_of

_TYPES: Final = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "validation",
    422: "validation",
    429: "too-many-requests",
}


class Invalid(UsageError):
    """An input that isn't as it should be; `data["field"]` names it."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message, data={"field": field} if field else {})


def public_status_of(error: EngineError) -> int:
    """What isn't as it should be is 422 there, whatever it is here."""
    status = 422 if isinstance(error, Invalid) else status_of(error)
    return 422 if status in {400, 409} else status


def public_map(error: EngineError) -> dict[str, Any]:
    """The body."""
    status = public_status_of(error)
    data = dict(error.data)
    told: dict[str, Any] = {
        "type": _TYPES.get(status, "server"),
        "message": f"{error.message}: {error.remedy}" if error.remedy else error.message,
        "status": status,
    }
    if "field" in data:
        told["field"] = data.pop("field")
    if data:
        told["data"] = data
    return {"errors": [told]}

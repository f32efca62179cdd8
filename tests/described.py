"""The control API held against its description: requests that fit it and requests that don't, by schemathesis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
NAMES: Final = {"functions": "orders", "destinations": "orders", "sources": "web"}
"""First part of a path → the name of one that there is."""


TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
"""What is read as true in a query."""


@dataclass
class Survey:
    """What was asked and answered."""

    statuses: dict[str, set[int]] = field(default_factory=dict)
    """Operation → statuses."""
    requests: int = 0


def survey(url: str, token: str, *, examples: int, number: int) -> Survey:
    """Ask every operation so often with what fits, and with what doesn't; raise what a check says. `number` seeds it."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    done = Survey()
    for found in schema.get_all_operations():
        for mode in GenerationMode:
            _ask(found.ok(), mode, done, url, token, examples=examples, number=number)
    return done


def _ask(
    operation: Any, mode: GenerationMode, done: Survey, url: str, token: str, *, examples: int, number: int
) -> None:
    statuses = done.statuses.setdefault(operation.label, set())
    existing = NAMES.get(operation.path.split("/")[1])
    headers = {"Authorization": f"Bearer {token}"}

    @seed(number)
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        if operation.path.endswith("/logs") and str((case.query or {}).get("follow")).lower() in TRUE:
            del case.query["follow"]  # an answer without end
        # Every other request is about something that there is.
        if (
            existing
            and mode is GenerationMode.POSITIVE
            and operation.method != "delete"
            and done.requests % 2
        ):
            case.path_parameters = dict.fromkeys(case.path_parameters or {}, existing)
        answer = case.call(base_url=url, headers=headers, timeout=20)
        done.requests += 1
        statuses.add(answer.status_code)
        # A value of which nothing is sent is no wrong request.
        is_sent = all(value not in (None, "", [], {}) for value in (case.query or {}).values())
        checks = CHECKS if is_sent else [check for check in CHECKS if check is not negative_data_rejection]
        case.validate_response(answer, checks=checks, headers=headers)

    ask()

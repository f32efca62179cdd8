"""The control API without a daemon: what is offered, how requests are read, how errors are told."""

from __future__ import annotations

import asyncio
import json
import math
from types import SimpleNamespace
from typing import Any

import pytest

from engine import errors
from engine.api.answers.table import ANSWERS
from engine.api.table import OPERATIONS
from engine.errors import EngineError, UsageError
from engine.gateway import openapi
from engine.gateway.arguments import of_body, of_query
from engine.gateway.health import Health
from engine.gateway.measuring import OTHER, endpoint_of
from engine.gateway.refusals import STATUSES, WrongMethod, as_map, headers_of, status_of
from engine.gateway.routes import NOT_OFFERED, PATHS, PREFIX, ROUTES, SUBMITS, match
from engine.gateway.shown import as_json, shown

LOGS = "/destinations/a%20b/logs"


def query(text: bytes, path: str = LOGS) -> dict[str, Any]:
    found = match(path)
    assert found is not None
    return of_query(found.by_method["GET"], text, found.arguments)


# --- What is offered


def test_every_operation_is_offered_or_says_why_not() -> None:
    assert PATHS.keys() | NOT_OFFERED.keys() == OPERATIONS.keys()
    assert not PATHS.keys() & NOT_OFFERED.keys()
    assert ANSWERS.keys() == PATHS.keys()
    assert len({(route.method, route.path) for route in ROUTES}) == len(PATHS) + len(SUBMITS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_every_path_leads_to_its_operation(route: Any) -> None:
    found = match(route.path.replace("{name}", "a%2Fb%3F"))
    assert found is not None
    assert found.by_method[route.method] is route
    assert found.arguments == ({"name": "a/b?"} if "{name}" in route.path else {})


@pytest.mark.parametrize(
    "path", ["", "/", "//", "/functions/a/b", "/functions/a/versions/", "/nothing", "functions"]
)
def test_other_paths_lead_nowhere(path: str) -> None:
    assert match(path) is None


def test_the_description_has_every_operation_and_refers_to_nothing_that_is_not_there() -> None:
    described = openapi.describe()
    named = {
        operation["operationId"] for methods in described["paths"].values() for operation in methods.values()
    }
    assert named == OPERATIONS.keys() - NOT_OFFERED.keys() | SUBMITS.keys()
    assert described["openapi"].startswith("3.1")

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            inner = {reference for item in value.values() for reference in references(item)}
            return inner | ({value["$ref"]} if isinstance(value.get("$ref"), str) else set())
        return (
            {reference for item in value for reference in references(item)}
            if isinstance(value, list)
            else set()
        )

    for reference in references(described):
        place: Any = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def test_every_status_of_the_table_is_described_for_every_operation() -> None:
    for methods in openapi.describe()["paths"].values():
        for operation in methods.values():
            assert {str(status) for status in STATUSES.values()} | {"200", "405"} <= operation[
                "responses"
            ].keys()


# --- How requests are read


def test_a_query_is_read_as_the_types_of_the_request() -> None:
    assert query(b"follow=true&limit=5&code=retry") == {
        "name": "a b", "follow": True, "limit": 5, "code": "retry",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"follow=maybe", "follow: "),
        (b"limit=ten", "limit: "),
        (b"limit=99999", "limit: "),
        (b"nonsense=1", "nonsense: "),
        (b"limit=1&limit=2", "'limit' is given twice"),
        (b"name=b", "'name' is given twice"),
        (b"limit", "the query can't be read"),
        (b"limit=%ff", "the query can't be read"),
        (b"&".join(b"a%d=1" % number for number in range(50)), "the query can't be read"),
    ],
)
def test_a_query_that_is_wrong_is_refused_with_the_reason(text: bytes, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        query(text)
    assert problem in refused.value.message


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "no JSON"),
        (b"[]", "no JSON object"),
        (b"\xff", "no JSON"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": ' + b"[" * 100_000, "nested too deep"),
        (b'{"name": "b"}', "'name' is in the path and in the body"),
    ],
)
def test_a_body_that_is_wrong_is_refused_with_the_reason(body: bytes, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        of_body(b"application/json", body, {"name": "a"})
    assert problem in refused.value.message


@pytest.mark.parametrize("kind", [b"", b"application/json", b"Application/JSON; charset=utf-8"])
def test_a_body_is_json(kind: bytes) -> None:
    assert of_body(kind, b'{"deploy": true}', {"name": "a"}) == {"name": "a", "deploy": True}
    with pytest.raises(UsageError):
        of_body(b"text/plain", b"{}", {})


# --- How things are told


@pytest.mark.parametrize(
    "error",
    [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, EngineError)],
)
def test_every_class_of_errors_has_a_status(error: type[EngineError]) -> None:
    made = error("it failed", remedy="mend it", data={"x": 1})
    assert error in STATUSES
    assert 400 <= status_of(made) < 600
    assert as_map(made)["error"] == {
        "code": error.code, "message": "it failed", "remedy": "mend it", "data": {"x": 1},
    }  # fmt: skip


def test_what_may_be_tried_again_says_when() -> None:
    full = errors.QueueFull("full", data={"retry_after_ms": 2_500})
    assert headers_of(full, status_of(full)) == [(b"retry-after", b"3")]
    away = errors.Unavailable("away")
    assert headers_of(away, status_of(away)) == [(b"retry-after", b"1")]


def test_what_is_not_answered_says_what_is() -> None:
    error = WrongMethod("no", data={"allowed": ["GET", "POST"]})
    assert headers_of(error, status_of(error)) == [(b"allow", b"GET, POST")]


def test_numbers_that_json_has_not_are_null_and_bytes_are_text() -> None:
    value = {"a": [math.nan, math.inf, 1.5], "b": b"x\xff"}
    assert json.loads(as_json(value)) == {"a": [None, None, 1.5], "b": "x�"}


def test_events_that_can_not_be_unpacked_are_null() -> None:
    assert shown("deliveries", {"id": "1.0", "body": b"\xc1"}) == {"id": "1.0", "event": None}
    assert shown("source.samples", [b"\x81\xa1a\x01", b"\xc1"]) == [{"a": 1}, None]


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/track", "/v1/track"),
        ("/v1/nonsense", OTHER),
        (f"{PREFIX}/functions/anything", f"{PREFIX}/functions/{{name}}"),
        (f"{PREFIX}/openapi.json", f"{PREFIX}/openapi.json"),
        (f"{PREFIX}/nonsense", OTHER),
        ("/functions/x/versions/3", "/functions/{id}/versions/{id}"),
        ("/metrics", "/metrics"),
        ("/etc/passwd", OTHER),
        ("", OTHER),
    ],
)
def test_requests_are_counted_under_names_that_no_client_makes(path: str, endpoint: str) -> None:
    assert endpoint_of(path) == endpoint


def test_the_daemon_is_asked_once_however_many_ask_whether_it_is_ready() -> None:
    asked = []

    class Calls:
        async def call(self, operation: str) -> dict[str, Any]:
            asked.append(operation)
            await asyncio.sleep(0)
            return {"ready": True, "checks": []}

    async def ask_often() -> list[int]:
        health = Health(SimpleNamespace(calls=Calls()), knows_keys=lambda: True, is_stopping=lambda: False)  # type: ignore[arg-type]
        statuses: list[int] = []

        async def send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])

        scope = {"method": "GET", "path": "/readyz", "query_string": b""}
        await asyncio.gather(*(health(scope, lambda: None, send) for _ in range(50)))  # type: ignore[arg-type,return-value]
        return statuses

    assert asyncio.run(ask_often()) == [200] * 50
    assert asked == ["ready"]

"""The document's example functions, rewritten in Python as their author would: they compile, and behave."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.runtime import errors
from sandbox.runtime.context import CURRENT, Invocation
from sandbox.runtime.handler import find_handlers
from sandbox.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SNIPPETS = Path(__file__).parents[2] / "snippets"
TRACK = {
    "type": "track",
    "event": "Played",
    "properties": {},
    "timestamp": "2024-01-01T00:00:00Z",
    "userId": "u1",
}


class Response:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body

    async def json(self) -> Any:
        return self.body


class Api:
    """Stands where `fetch` will be: notes what is called, answers as told."""

    def __init__(self, *, status: int = 200, body: Any = None, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.status, self.body, self.error = status, body, error

    async def fetch(self, url: str, **options: Any) -> Response:
        self.calls.append((url, options.get("json")))
        if self.error is not None:
            raise self.error
        return Response(self.status, self.body)


@pytest.fixture(autouse=True)
def invocation() -> Iterator[Invocation]:
    running = Invocation(is_async=True, console_bytes=32_768)
    token = CURRENT.set(running)
    yield running
    CURRENT.reset(token)


@pytest.fixture
def snippet(load: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def load_snippet(name: str, api: Api | None = None) -> dict[str, Any]:
        return load((SNIPPETS / f"{name}.py").read_text(), fetch=(api or Api()).fetch)

    return load_snippet


def call(handler: Callable[..., Any], *args: Any) -> Any:
    result = handler(*args)
    return asyncio.run(_finish(result)) if inspect.isawaitable(result) else result


async def _finish(awaitable: Any) -> Any:
    return await awaitable


@pytest.mark.parametrize("path", sorted(SNIPPETS.glob("*.py")), ids=lambda path: path.stem)
def test_its_handlers_are_found(path: Path, snippet: Callable[..., dict[str, Any]]) -> None:
    _, handlers = find_handlers(snippet(path.stem))
    assert handlers


def test_details_of_a_track_event_go_to_an_api(snippet: Callable[..., dict[str, Any]]) -> None:
    api = Api()
    call(snippet("track_to_api", api)["on_track"], TRACK)
    sent = {"event_name": "Played", "event_properties": {}, "timestamp": "2024-01-01T00:00:00Z"}
    assert api.calls == [("https://example-service.com/api", sent)]


@pytest.mark.parametrize(
    ("handler", "event", "error"),
    [
        ("on_group", {"traits": {}}, errors.InvalidEventPayload),
        ("on_page", {"properties": {}}, errors.ValidationError),
        ("on_alias", {}, errors.EventNotSupported),
    ],
)
def test_undeliverable_data_is_refused(
    handler: str, event: dict[str, Any], error: type[Exception], snippet: Callable[..., dict[str, Any]]
) -> None:
    module = snippet("error_types")
    with pytest.raises(error):
        call(module[handler], event)


@pytest.mark.parametrize("api", [Api(status=503), Api(status=429), Api(error=OSError("no route"))])
def test_a_failing_api_asks_for_a_retry(api: Api, snippet: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(errors.RetryError):
        call(snippet("error_types", api)["on_track"], TRACK)


def test_a_failed_call_falls_back(snippet: Callable[..., dict[str, Any]], invocation: Invocation) -> None:
    module = snippet("fallback_values", Api(error=OSError("no route")))
    event = {"properties": {"total": 3}}
    assert call(module["on_track"], event, Settings({"endpoint": "http://x"})) == 3
    assert [line["message"] for line in invocation.logs] == [
        "falling back to a rate of 1: no route",
        "asked 1 times",
    ]


def test_uuids_have_namespaces(snippet: Callable[..., dict[str, Any]]) -> None:
    urls, names = call(snippet("uuids")["on_track"], TRACK, None)
    assert names == "64ee70a4-8cc1-5d25-abf2-dea6c79a09c8"
    assert urls != names


def test_compression_goes_both_ways(snippet: Callable[..., dict[str, Any]]) -> None:
    assert call(snippet("compression")["on_track"], TRACK, None) == "something"


def test_a_cached_value_is_fetched_once_until_deleted(snippet: Callable[..., dict[str, Any]]) -> None:
    api = Api(body={"one": "two"})
    handler = snippet("cached_value", api)["on_track"]
    for refresh in (False, False, True, False):
        assert call(handler, {"properties": {"refresh": refresh}}, None) == {"one": "two"}
    assert len(api.calls) == 2


def test_a_setting_is_an_attribute(snippet: Callable[..., dict[str, Any]]) -> None:
    assert call(snippet("settings_value")["onTrack"], TRACK, Settings({"apiKey": "secret"})) == "secret"


def test_a_batch_is_sent_as_an_array(snippet: Callable[..., dict[str, Any]]) -> None:
    api = Api()
    call(snippet("batch_to_api", api)["on_batch"], [TRACK, TRACK], None)
    assert api.calls == [("https://example-service.com/batch-api", [TRACK, TRACK])]


def test_a_batch_is_grouped_by_type(snippet: Callable[..., dict[str, Any]]) -> None:
    api = Api()
    events = [TRACK, {"type": "identify"}, TRACK]
    assert call(snippet("batch_by_type", api)["on_batch"], events, None) == [2, 1]
    assert sorted(url for url, _ in api.calls) == [
        "https://example-service.com/people",
        "https://example-service.com/tracks",
    ]


def test_a_batch_reports_a_status_for_each_event(snippet: Callable[..., dict[str, Any]]) -> None:
    events = [{"userId": "a", "traits": {"email": "e"}}, {"userId": "b", "traits": {}}]
    assert call(snippet("batch_statuses")["on_batch"], events, None) == [
        {"status": 200},
        {"status": 400, "errormessage": "email is missing"},
    ]


def test_an_invalid_user_is_logged_and_refused(
    snippet: Callable[..., dict[str, Any]], invocation: Invocation
) -> None:
    with pytest.raises(errors.ValidationError, match="User ID is invalid"):
        call(snippet("logged_validation")["on_track"], TRACK, None)
    assert invocation.logs == [{"level": "info", "message": "User ID is u1"}]


def test_a_token_in_a_global_is_fetched_once(snippet: Callable[..., dict[str, Any]]) -> None:
    api = Api(body={"token": "t"})
    handler = snippet("token_in_global", api)["on_track"]
    assert [call(handler, TRACK), call(handler, TRACK)] == ["t", "t"]
    assert len(api.calls) == 1


def test_an_event_for_another_source_loses_its_ids(snippet: Callable[..., dict[str, Any]]) -> None:
    headers, body = call(
        snippet("to_another_source")["on_track"],
        {"messageId": "m", "writeKey": "w", "a": 1},
        Settings({"writeKey": "k"}),
    )
    assert (headers, body) == ({"Authorization": "Basic azo="}, '{"a": 1}')

"""Segment's Public API: its SDK for TypeScript, unmodified but for the host; and what other clients send."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from clients import why_not
from gateways import HttpDaemon, ask, is_ready
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIBRARY = "@segment/public-api-sdk-typescript"
CODE = "def on_track(event, settings):\n    print('hi')\n    return settings.apiKey and 1\n"
SETTING = {
    "name": "apiKey",
    "label": "API Key",
    "description": "",
    "type": "STRING",
    "required": True,
    "sensitive": True,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpDaemon]:
    daemon = HttpDaemon(tmp_path_factory.mktemp("public"))
    daemon.start()
    wait_until(lambda: is_ready(daemon.http), 30)
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(scope="module")
def token(served: HttpDaemon) -> str:
    with served.client() as client:
        client.sources.create("web")
        return str(client.tokens.create("sdk", ["functions-admin", "source-admin"])["token"])


@pytest.fixture(scope="module")
def sdk(served: HttpDaemon, token: str) -> Iterator[Callable[..., Any]]:
    """One call of the SDK: what it resolves to, or {status, body} of what it rejects with."""
    if reason := why_not(LIBRARY):
        pytest.skip(reason)
    process = subprocess.Popen(
        ["node", str(Path(__file__).parent / "public_api.mjs"), served.url, token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # node's word on an old dependency of the SDK's
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def call(method: str, *arguments: Any) -> Any:
        process.stdin.write(json.dumps([method, arguments]) + "\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        return told if "status" in told else told["body"]["data"]

    yield call
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


def new(name: str, **more: Any) -> dict[str, Any]:
    return {"code": CODE, "displayName": name, "resourceType": "DESTINATION", "settings": [SETTING], **more}


def test_the_sdk_takes_a_function_through_its_life(sdk: Callable[..., Any]) -> None:
    made = sdk("createFunction", new("Shop: EU/US", description="sells", logoUrl="https://x/l.png"))[
        "function"
    ]
    assert (made["displayName"], made["resourceType"]) == ("Shop: EU/US", "DESTINATION")
    assert (made["settings"], made["code"], made["createdBy"]) == ([SETTING], CODE, "token sdk")
    assert (made["deployedAt"], made["isLatestVersion"]) == (None, False)
    assert sdk("createFunctionDeployment", made["id"]) == {"functionDeployment": {"status": "SUCCESS"}}
    deployed = sdk("getFunction", made["id"])["function"]
    assert deployed["isLatestVersion"]
    assert deployed["deployedAt"] >= deployed["createdAt"]
    changed = sdk("updateFunction", made["id"], {"code": CODE + "#\n", "description": "sells more"})[
        "function"
    ]
    assert (changed["description"], changed["code"], changed["settings"]) == (
        "sells more",
        CODE + "#\n",
        [SETTING],
    )
    assert not changed["isLatestVersion"]
    assert sdk("deleteFunction", made["id"]) == {"status": "SUCCESS"}
    refused = sdk("getFunction", made["id"])
    assert refused["status"] == 404
    assert refused["body"]["errors"][0]["type"] == "not-found"


def test_the_sdk_restores_a_version(sdk: Callable[..., Any]) -> None:
    name = sdk("createFunction", new("Versions"))["function"]["id"]
    sdk("createFunctionDeployment", name)
    sdk("updateFunction", name, {"code": CODE + "# two\n"})
    listed = sdk("listFunctionVersions", name, {"count": 1})
    assert [row["id"] for row in listed["versions"]] == ["2"]
    rest = sdk("listFunctionVersions", name, {"count": 1, "cursor": listed["pagination"]["next"]})
    assert [(row["id"], row["isDeployed"]) for row in rest["versions"]] == [("1", True)]
    assert rest["pagination"].get("next") is None
    restored = sdk("restoreFunctionVersion", name, {"versionId": "1"})["version"]
    assert (restored["id"], restored["code"], restored["isDeployed"]) == ("3", CODE, False)
    assert sdk("getFunctionVersion", name, "2")["version"]["code"] == CODE + "# two\n"
    assert sdk("getFunctionVersion", name, "9")["status"] == 404


def test_the_sdk_pages_through_functions(sdk: Callable[..., Any]) -> None:
    made = {sdk("createFunction", new("Many"))["function"]["id"] for _ in range(3)}
    assert made == {"Many", "Many 2", "Many 3"}
    seen, cursor = [], None
    while True:
        pagination = {"count": 2} if cursor is None else {"count": 2, "cursor": cursor}
        page = sdk("listFunctions", pagination, "DESTINATION")
        assert len(page["functions"]) <= 2
        seen += [row["id"] for row in page["functions"]]
        cursor = page["pagination"].get("next")
        if cursor is None:
            break
    assert seen == sorted(seen)
    assert made <= set(seen)
    assert page["pagination"]["totalEntries"] == len(seen)
    assert sdk("listFunctions", {"count": 2}, "SOURCE")["functions"] == []


def test_the_sdk_takes_an_instance_through_its_life(sdk: Callable[..., Any]) -> None:
    name = sdk("createFunction", new("Instances"))["function"]["id"]
    sdk("createFunctionDeployment", name)
    wanted = {"functionId": name, "integrationId": "web", "name": "eu", "settings": {"apiKey": "very secret"}}
    made = sdk("createInsertFunctionInstance", wanted)["insertFunctionInstance"]
    assert (made["classId"], made["integrationId"], made["enabled"]) == (name, "web", True)
    assert (made["settings"], made["encryptedSettings"]) == ({}, {"apiKey": "********"})
    off = sdk("updateInsertFunctionInstance", "eu", {"enabled": False, "settings": {"apiKey": "another"}})
    assert off["insertFunctionInstance"]["enabled"] is False
    assert [row["id"] for row in sdk("listInsertFunctionInstances", {"count": 5}, name)["instances"]] == [
        "eu"
    ]
    assert sdk("listInsertFunctionInstances", {"count": 5}, "none")["instances"] == []
    assert sdk("updateInsertFunctionInstance", "eu", {"name": "us", "settings": {}})["status"] == 422
    assert sdk("deleteInsertFunctionInstance", "eu") == {"status": "SUCCESS"}
    assert sdk("getInsertFunctionInstance", "eu")["status"] == 404


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (new("x", resourceType="SOURCE"), "resourceType"),
        (new(""), "displayName"),
        (new("x", code="import os\n"), None),
        (new("x", settings=[{"label": "A", "type": "NUMBER"}]), None),
    ],
)
def test_what_is_wrong_is_told_as_the_sdk_expects_it(
    sdk: Callable[..., Any], wanted: dict[str, Any], field: str | None
) -> None:
    refused = sdk("createFunction", wanted)
    (error,) = refused["body"]["errors"]
    assert (refused["status"], error["status"], error["type"]) == (422, 422, "validation")
    assert error.get("field") == field
    assert error["message"]


# --- What other clients send


def get(served: HttpDaemon, token: str, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    return ask(served.http, "GET", path, headers={"authorization": f"Bearer {token}", **headers})


def post(served: HttpDaemon, token: str, path: str, body: Any) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {token}"}
    status, _, answer = ask(served.http, "POST", path, json.dumps(body), headers)
    return status, answer


@pytest.mark.parametrize(
    "query",
    [
        "pagination=%7B%22count%22%3A1%7D",
        "pagination[count]=1",
        "pagination%5Bcount%5D=1",
        "pagination.count=1",
    ],
)
def test_each_spelling_of_pages_is_understood(served: HttpDaemon, token: str, query: str) -> None:
    for name in ("Pages", "Pages 2"):
        post(served, token, "/functions", new(name))
    _, _, answer = get(served, token, f"/functions?{query}&resourceType=DESTINATION")
    assert len(answer["data"]["functions"]) == 1
    assert answer["data"]["pagination"]["next"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/vnd.segment.v1+json"),
        ("*/*", "application/vnd.segment.v1+json"),
        ("application/json", "application/json"),
        ("application/vnd.segment.v1alpha+json, application/json", "application/vnd.segment.v1alpha+json"),
    ],
)
def test_the_media_type_is_the_one_that_was_asked_for(
    served: HttpDaemon, token: str, accept: str, media_type: str
) -> None:
    _, headers, _ = get(served, token, "/functions", accept=accept)
    assert headers["content-type"] == media_type


@pytest.mark.parametrize("encode", [json.dumps, lambda payload: payload])
def test_a_preview_shows_what_code_would_do(
    served: HttpDaemon, token: str, encode: Callable[..., Any]
) -> None:
    function = {"code": CODE, "settings": [{**SETTING, "value": "k"}]}
    event = {"type": "track", "event": "x", "userId": "u"}
    wanted = {"function": function, "type": "DESTINATION", "payload": encode(event)}
    status, answer = post(served, token, "/functions/preview", wanted)
    assert status == 200
    assert (answer["invoke"]["success"], answer["invoke"]["output"]) == (True, "1")
    assert [line["message"] for line in answer["logs"]] == ["hi"]
    assert answer["session_id"]
    batch = {
        **wanted,
        "function": {"code": "def on_batch(events, settings):\n    return None\n"},
        "payload": encode([event, event]),
    }
    _, answer = post(served, token, "/functions/preview", batch)
    assert answer["invoke"]["success"], answer
    failing = {**wanted, "function": {"code": "def on_track(event, settings):\n    raise ValueError('no')\n"}}
    _, answer = post(served, token, "/functions/preview", failing)
    assert not answer["invoke"]["success"]
    assert answer["invoke"]["trace"]["errors"][0]["message"] == "no"


def test_who_may_not_is_told_in_the_vendors_form(served: HttpDaemon) -> None:
    status, _, answer = ask(served.http, "GET", "/functions")
    assert (status, answer["errors"][0]["type"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/functions/none/nothing", b"", 404),
        ("GET", "/functions/", b"", 422),
        ("PUT", "/functions", b"", 405),
        ("GET", "/functions?pagination=no", b"", 422),
        ("GET", "/functions?resourceType=NONE", b"", 422),
        ("POST", "/functions", b"{", 422),
        ("POST", "/functions", b"[]", 422),
        (
            "POST",
            "/functions",
            b'{"code": "", "displayName": "x", "resourceType": "DESTINATION", "more": 1}',
            422,
        ),
        ("POST", "/functions", b" " * (5 << 20), 413),
        ("GET", "/functions/x/versions/1e3", b"", 404),
        ("GET", "/functions/%00", b"", 422),
    ],
)
def test_a_wrong_request_is_refused(
    served: HttpDaemon, token: str, method: str, path: str, body: bytes, status: int
) -> None:
    answered, _, answer = ask(served.http, method, path, body, {"authorization": f"Bearer {token}"})
    assert answered == status
    assert answer["errors"][0]["status"] == status

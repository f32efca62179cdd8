"""The control API, health and metrics over a real daemon: real answers have the shapes that are described."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from gateways import HttpDaemon, OwnGateway, ask, is_ready
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter
from running import wait_until

from engine.api.answers.table import ANSWERS, Refused
from engine.gateway.control import BODY_BYTES_MAX
from engine.gateway.routes import PATHS
from engine.metrics import METRICS, PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

API = "/api/v1"
CODE = """
SETTINGS = [{"label": "API Key", "required": True, "sensitive": True}, {"label": "Region"}]
def on_track(event, settings):
    print(len(settings.apiKey))
    raise ValueError("no")
def on_identify(event, settings):
    return 1
"""
EVENT = {"type": "track", "event": "Bought", "userId": "u1", "properties": {"price": 3}}
SCHEMA = [{"label": "API Key", "required": True, "sensitive": True}, {"label": "Region"}]
SET = {"apiKey": "secret-key-1", "region": "eu"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpDaemon]:
    daemon = HttpDaemon(tmp_path_factory.mktemp("http"))
    daemon.start()
    wait_until(lambda: is_ready(daemon.http), 30)
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture(scope="module")
def token(daemon: HttpDaemon) -> Callable[..., str]:
    """A token with roles."""

    def make(*roles: str) -> str:
        with daemon.client() as client:
            name = f"t{time.monotonic_ns()}"
            return str(client.tokens.create(name, list(roles))["token"])

    return make


@pytest.fixture(scope="module")
def owner(token: Callable[..., str]) -> dict[str, str]:
    return {"authorization": f"Bearer {token('owner')}"}


class Caller:
    """Somebody who calls operations, and checks each answer against its description."""

    def __init__(self, daemon: HttpDaemon, headers: dict[str, str]) -> None:
        self.daemon = daemon
        self.headers = headers
        self.called: set[str] = set()

    def __call__(self, operation: str, body: Any = None, name: str = "", query: str = "") -> Any:
        method, _, path = PATHS[operation][0].partition(" ")
        status, text = self.send(method, API + path.replace("{name}", name) + query, body)
        assert status == 200, text
        lines = [json.loads(line) for line in text.splitlines()]
        adapter = TypeAdapter(ANSWERS[operation])
        for line in lines:
            adapter.validate_python(line)
        self.called.add(operation)
        return lines if operation in STREAMS else lines[0]

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.daemon.http, timeout=20)
        with contextlib.closing(connection):
            sent = b"" if body is None else json.dumps(body).encode()
            connection.request(method, path, sent, self.headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


STREAMS = {"logs", "deliveries", "replay", "audit"}


def test_every_operation_works_and_answers_as_it_is_described(
    daemon: HttpDaemon, owner: dict[str, str]
) -> None:
    call = Caller(daemon, owner)
    call("source.create", {"name": "web"})
    call("function.save", {"source": CODE, "schema": SCHEMA}, "shop")
    call("function.update", {"description": "sells"}, "shop")
    call("destination.create", {"name": "shop-eu", "function": "shop", "settings": SET, "sources": ["web"]})
    call("function.deploy", {}, "shop")
    deployed = {"name": "other", "source": "def on_track(event, settings):\n    return 1\n"}
    call("deploy", deployed)
    call("deploy", {**deployed, "source": deployed["source"] + "#", "filter": "userId = 'u1'"})
    call("destination.update", {"limits": {"timeout_ms": 900}}, "shop-eu")
    call("setting.update", {"settings": {"region": None}}, "shop-eu")
    assert call("setting.list", name="shop-eu")[0]["value"] is None
    call("test", {"source": CODE, "events": [EVENT], "settings": SET})
    for path in ("destinations/shop-eu", "sources/web"):
        status, text = call.send("POST", f"{API}/{path}/events", {"events": [EVENT], "dedupe": False})
        assert (status, json.loads(text)) == (200, {"accepted": 1, "duplicates": 0})
    wait_until(lambda: call("show", name="shop-eu")["shelved"]["discarded"] == 2)
    assert call("source.samples", name="web")[0]["userId"] == "u1"
    delivery = call("deliveries", name="shop-eu", query="?state=discarded")[0]
    assert delivery["event"]["properties"] == {"price": 3}
    assert call("deliveries", name="shop-eu", query=f"?id={delivery['id']}")[0]["attempts"]
    assert call("logs", name="shop-eu", query="?limit=1&code=bad_request")[0]["error"]["message"] == "no"
    assert call("replay", {"dry_run": True}, "shop-eu")[-1]["replayed"] == 2
    call("health", query="?name=shop-eu")
    call("pause", name="other")
    call("resume", name="other")
    call("source.update", {"add_key": True}, "web")
    call("key.rotate")
    call("token.create", {"name": "t", "roles": ["ingest"]})
    call("token.remove", name="t")
    for operation in (
        "source.list",
        "function.list",
        "function.check",
        "destination.list",
        "key.list",
        "list",
    ):
        assert call(operation)
    for operation in ("usage", "audit", "stats", "metrics", "ready", "workers", "token.list"):
        assert call(operation)
    call("source.show", name="web")
    call("function.show", name="shop", query="?version=1")
    call("destination.show", name="shop-eu")
    call("remove", name="shop-eu", query="?discard=true")
    call("function.remove", name="shop")
    call("source.remove", name="web")
    assert call.called == PATHS.keys()


# --- Who may


def test_without_a_token_it_is_told_which_role_one_needs(daemon: HttpDaemon) -> None:
    status, headers, answer = ask(daemon.http, "GET", f"{API}/functions")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert answer["error"]["message"] == "this takes a token with the role functions-read-only"


@pytest.mark.parametrize("path", ["ready", "metrics"])
def test_what_the_gateway_may_by_itself_is_not_for_everybody(daemon: HttpDaemon, path: str) -> None:
    assert ask(daemon.http, "GET", f"{API}/{path}")[0] == 401


def test_a_token_that_nobody_knows_is_no_token(daemon: HttpDaemon) -> None:
    for path, body in (("functions", b""), ("destinations/x/events", b'{"events": [{"type": "track"}]}')):
        method = "POST" if body else "GET"
        status, _, answer = ask(
            daemon.http, method, f"{API}/{path}", body, {"authorization": "Bearer engine_x"}
        )
        assert (status, answer["error"]["code"]) == (401, "unauthenticated")


def test_a_refusal_names_the_missing_role(daemon: HttpDaemon, token: Callable[..., str]) -> None:
    headers = {"authorization": f"Bearer {token('functions-read-only')}"}
    assert ask(daemon.http, "GET", f"{API}/functions", headers=headers)[0] == 200
    status, _, answer = ask(daemon.http, "POST", f"{API}/functions/x/versions", b'{"source": ""}', headers)
    assert (status, answer["error"]["data"]["roles"]) == (403, ["functions-admin=x"])
    events = b'{"events": [{"type": "track"}]}'
    assert ask(daemon.http, "POST", f"{API}/destinations/x/events", events, headers)[0] == 403


# --- What isn't answered


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", "/nothing", b"", {}, 404, "not_found"),
        ("PUT", "/functions", b"", {}, 405, "invalid_request"),
        ("TRACE", "/functions", b"", {}, 405, "invalid_request"),
        ("POST", "/openapi.json", b"", {}, 405, "invalid_request"),
        ("GET", "/functions/none", b"", {}, 404, "not_found"),
        ("GET", "/destinations/none/logs?follow=true", b"", {}, 404, "not_found"),
        ("GET", "/functions?nonsense=1", b"", {}, 400, "invalid_request"),
        ("POST", "/functions/f/versions", b'{"source": 3}', {}, 400, "invalid_request"),
        ("POST", "/functions/f/versions", b'{"source": "", "more": 1}', {}, 400, "invalid_request"),
        ("POST", "/functions/f/versions", b'{"source": "import os"}', {}, 422, "function_refused"),
        ("POST", "/sources", b'{"name": "taken"}', {}, 409, "conflict"),
        ("POST", "/sources", b'{"name": "\\ud800"}', {}, 400, "invalid_request"),
        ("POST", "/sources", b'{"name": 1e999}', {}, 400, "invalid_request"),
        ("POST", "/sources", b"{}", {"content-type": "text/plain"}, 415, "invalid_request"),
        ("POST", "/sources", b" " * (BODY_BYTES_MAX + 1), {}, 413, "invalid_request"),
        ("POST", "/destinations/none/events", b'{"events": []}', {}, 400, "invalid_request"),
        ("POST", "/destinations/none/events", b'{"events": [{"type": "x"}]}', {}, 400, "invalid_event"),
        ("POST", "/destinations/none/events", b'{"events": [{"type": "track"}]}', {}, 404, "not_found"),
        ("GET", "/functions/%ff%00", b"", {}, 400, "invalid_request"),
        ("GET", "/functions/a%2Fb", b"", {}, 400, "invalid_request"),
    ],
)
def test_a_wrong_request_is_refused_in_one_form(
    daemon: HttpDaemon,
    owner: dict[str, str],
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    if code == "conflict":
        ask(daemon.http, "POST", f"{API}/sources", body, owner)
    answered, _, answer = ask(daemon.http, method, API + path, body, {**owner, **headers})
    assert answered == status, answer
    Refused.model_validate(answer)
    assert answer["error"]["code"] == code
    assert "Traceback" not in json.dumps(answer)


# --- Streams


def test_a_stream_is_told_line_by_line_and_ends_with_its_client(
    daemon: HttpDaemon, owner: dict[str, str]
) -> None:
    with daemon.client() as client:
        client.deploy("followed", "def on_track(event, settings):\n    return 1\n")
        connection = http.client.HTTPConnection(daemon.http, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", f"{API}/destinations/followed/logs?follow=true", headers=owner)
            with connection.getresponse() as answer:
                assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
                client.submit("followed", [EVENT])
                assert json.loads(answer.readline())["code"] == "delivered"
                assert client.show("followed")["is_followed"]
        wait_until(lambda: not client.show("followed")["is_followed"])


# --- Health and metrics


def checks_of(address: str) -> tuple[int, dict[str, bool]]:
    status, _, answer = ask(address, "GET", "/readyz?verbose")
    return status, {check["name"]: check["ok"] for check in answer["checks"]}


def test_readiness_names_each_check(daemon: HttpDaemon) -> None:
    status, checks = checks_of(daemon.http)
    assert status == 200
    assert checks == dict.fromkeys(
        ["gateway", "write_keys", "daemon", "accepting", "journal_writable", "journal_lag", "disk", "zygote", "egress"],
        True,
    )  # fmt: skip
    assert ask(daemon.http, "GET", "/readyz")[2] == {"status": "ready"}
    assert ask(daemon.http, "GET", "/livez")[0] == 200
    assert ask(daemon.http, "POST", "/livez")[0] == 405


def test_a_gateway_is_alive_and_not_ready_while_its_daemon_drains_or_is_down(tmp_path: Path) -> None:
    daemon = HttpDaemon(tmp_path)
    daemon.start()
    gateway = OwnGateway(tmp_path, daemon.socket)
    try:
        wait_until(lambda: is_ready(gateway.http))
        with daemon.client() as client:
            client.deploy("slow", "import time\ndef on_track(event, settings):\n    time.sleep(1.5)\n")
            client.submit("slow", [EVENT])
            wait_until(lambda: client.show("slow")["in_flight"])
            assert daemon.process is not None
            daemon.process.terminate()
            wait_until(lambda: checks_of(gateway.http)[1].get("accepting") is False)
            assert checks_of(gateway.http)[0] == 503
        assert daemon.process.wait(20) == 0
        wait_until(lambda: checks_of(gateway.http)[1].get("daemon") is False)
        status, _, answer = ask(gateway.http, "GET", f"{API}/functions")
        assert (status, answer["error"]["code"]) == (503, "unavailable")
        assert ask(gateway.http, "GET", "/metrics")[0] == 503
        assert ask(gateway.http, "GET", "/livez")[0] == 200
    finally:
        assert gateway.stop() == 0


def scrape(address: str, headers: dict[str, str]) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_metrics_are_what_the_table_says(daemon: HttpDaemon, token: Callable[..., str]) -> None:
    headers = {"authorization": f"Bearer {token('metrics')}"}
    with daemon.client() as client:
        client.deploy("measured", "def on_track(event, settings):\n    return 1\n")
        client.submit("measured", [EVENT, EVENT], wait=True)
    ask(daemon.http, "GET", f"{API}/functions/{'x' * 50}")
    status, text = scrape(daemon.http, headers)
    assert status == 200
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        name = family.name.removeprefix(PREFIX) + ("_total" if family.type == "counter" else "")
        about = METRICS[name]
        assert family.type == about.kind, name
        assert family.documentation == about.meaning
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(about.labels)
            labels = tuple(sample.labels[label] for label in about.labels)
            samples.setdefault(sample.name.removeprefix(PREFIX), {})[labels] = sample.value
    assert samples["outcomes_total"]["measured", "delivered"] == 2
    assert samples["delivery_seconds_count"]["measured",] == 2
    assert samples["accepted_total"][()] >= 2
    assert samples["journal_commit_seconds_count"][()] == samples["journal_commit_bytes_count"][()] > 0
    assert samples["workers"]["idle",] + samples["workers"]["busy",] >= 1
    assert {"supervisor", "gateway", "zygote", "egress", "workers"} <= {
        process for (process,) in samples["memory_bytes"]
    }
    assert samples["restarts_total"] == {("gateway",): 0, ("zygote",): 0, ("egress",): 0}
    assert samples["http_requests_total"][f"{API}/functions/{{name}}", "401"] == 1
    assert "x" * 50 not in text


def test_metrics_take_a_token_unless_the_operator_says_otherwise(
    daemon: HttpDaemon, token: Callable[..., str], tmp_path: Path
) -> None:
    assert scrape(daemon.http, {})[0] == 401
    assert scrape(daemon.http, {"authorization": f"Bearer {token('ingest')}"})[0] == 403
    gateway = OwnGateway(tmp_path, daemon.socket, "127.0.0.1:0", "--metrics-open")
    try:
        wait_until(lambda: scrape(gateway.http, {})[0] == 200)
        assert ask(gateway.http, "GET", f"{API}/metrics")[0] == 401
    finally:
        assert gateway.stop() == 0

"""Who may do what: every operation for every role, in a table of its own; through the socket, and through a relay."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from fake_core import FakeDirectory, served

from engine.api import access, connection, frames
from engine.api.access import ACCESS, WITHHELD, detail_without_payload, missing_roles, without_payload
from engine.api.table import OPERATIONS, parse
from engine.client import Client
from engine.errors import EngineError, Forbidden, NotFound, Unauthenticated
from engine.gateway.asgi import Budget
from engine.gateway.control import Control
from engine.gateway.link import Link
from engine.gateway.routes import PATHS, ROUTES, Route
from engine.roles import Grants, Role
from engine.session import OnBehalf, pack_call, pack_hello
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_core import ServedCore

COLUMNS = {
    "owner": ["owner"],
    "admin": ["functions-admin"],
    "admin-shop": ["functions-admin=shop"],
    "admin-crm": ["functions-admin=crm"],
    "admin-shop+source": ["functions-admin=shop", "source-admin"],
    "read": ["functions-read-only"],
    "read-shop": ["functions-read-only=shop"],
    "read-crm": ["functions-read-only=crm"],
    "source": ["source-admin"],
    "source+payloads": ["source-admin", "payloads"],
    "ingest": ["ingest"],
    "metrics": ["metrics"],
    "payloads": ["payloads"],
}
ADMINS = {"owner", "admin", "admin-shop", "admin-crm", "admin-shop+source"}
ADMINS_OF_SHOP = {"owner", "admin", "admin-shop", "admin-shop+source"}
ADMINS_OF_SHOP_AND_SOURCES = {"owner", "admin-shop+source"}
READERS = ADMINS | {"read", "read-shop", "read-crm"}
READERS_OF_SHOP = ADMINS_OF_SHOP | {"read", "read-shop"}
SOURCE_ADMINS = {"owner", "source", "source+payloads", "admin-shop+source"}
OWNER = {"owner"}

CODE = {"source": "def on_track(e): pass"}
TABLE: list[tuple[str, dict[str, Any], set[str]]] = [
    # The destination `orders` is there, and runs the function `shop`; `crm` is a function without destinations.
    ("deploy", {"name": "shop", **CODE}, ADMINS_OF_SHOP_AND_SOURCES),
    ("deploy", {"name": "crm", **CODE}, {"owner", "admin", "admin-crm"}),
    ("deploy", {"name": "crm", **CODE, "sources": ["web"]}, {"owner"}),
    ("deploy", {"name": "orders", **CODE}, {"owner"}),
    ("test", {**CODE, "events": [{}]}, ADMINS),
    ("list", {}, READERS),
    ("show", {"name": "orders"}, READERS_OF_SHOP),
    ("show", {"name": "nowhere"}, {"owner", "admin", "read"}),
    ("remove", {"name": "orders"}, ADMINS_OF_SHOP_AND_SOURCES),
    ("pause", {"name": "orders"}, ADMINS_OF_SHOP),
    ("resume", {"name": "orders"}, ADMINS_OF_SHOP),
    ("stats", {}, {"owner", "admin", "read"}),
    ("metrics", {}, {"owner", "admin", "read", "metrics"}),
    ("ready", {}, SOURCE_ADMINS | {"ingest"}),
    ("http.count", {"requests": {}, "seconds": {}}, SOURCE_ADMINS | {"ingest"}),
    ("workers", {}, READERS),
    ("deliveries", {"name": "orders"}, READERS_OF_SHOP),
    ("replay", {"name": "orders"}, ADMINS_OF_SHOP),
    ("health", {}, READERS),
    ("health", {"name": "orders"}, READERS_OF_SHOP),
    ("logs", {"name": "orders"}, READERS_OF_SHOP),
    ("function.save", {"name": "shop", **CODE}, ADMINS_OF_SHOP),
    ("function.save", {"name": "shop", **CODE, "deploy": True}, ADMINS_OF_SHOP_AND_SOURCES),
    ("function.save", {"name": "crm", **CODE, "deploy": True}, {"owner", "admin", "admin-crm"}),
    ("function.deploy", {"name": "shop"}, ADMINS_OF_SHOP_AND_SOURCES),
    ("function.deploy", {"name": "crm"}, {"owner", "admin", "admin-crm"}),
    ("function.check", {}, READERS),
    ("function.list", {}, READERS),
    ("function.show", {"name": "shop"}, READERS_OF_SHOP),
    ("function.update", {"name": "shop"}, ADMINS_OF_SHOP),
    ("function.remove", {"name": "shop"}, ADMINS_OF_SHOP),
    ("destination.create", {"name": "new", "function": "shop"}, ADMINS_OF_SHOP),
    (
        "destination.create",
        {"name": "new", "function": "shop", "sources": ["web"]},
        ADMINS_OF_SHOP_AND_SOURCES,
    ),
    ("destination.update", {"name": "orders", "filter": "a = 1"}, ADMINS_OF_SHOP),
    ("destination.update", {"name": "orders", "version": 1}, ADMINS_OF_SHOP_AND_SOURCES),
    ("destination.update", {"name": "orders", "follow": True}, ADMINS_OF_SHOP_AND_SOURCES),
    ("destination.update", {"name": "orders", "sources": []}, ADMINS_OF_SHOP_AND_SOURCES),
    ("destination.update", {"name": "orders", "enabled": False}, ADMINS_OF_SHOP_AND_SOURCES),
    ("destination.list", {}, READERS),
    ("destination.show", {"name": "orders"}, READERS_OF_SHOP),
    ("setting.list", {"name": "orders"}, READERS_OF_SHOP),
    ("setting.update", {"name": "orders", "settings": {}}, ADMINS_OF_SHOP),
    ("source.create", {"name": "web"}, SOURCE_ADMINS),
    ("source.list", {}, SOURCE_ADMINS),
    ("source.show", {"name": "web"}, SOURCE_ADMINS),
    ("source.update", {"name": "web"}, SOURCE_ADMINS),
    ("source.samples", {"name": "web"}, {"owner", "source+payloads"}),
    ("source.keys", {}, SOURCE_ADMINS | {"ingest"}),
    ("source.remove", {"name": "web"}, SOURCE_ADMINS),
    ("usage", {}, READERS),
    ("key.list", {}, OWNER),
    ("key.rotate", {}, OWNER),
    ("audit", {}, OWNER),
    ("token.create", {"name": "t", "roles": ["owner"]}, OWNER),
    ("token.list", {}, OWNER),
    ("token.remove", {"name": "t"}, OWNER),
]
SUBMITS = [
    ("orders", 0, ADMINS_OF_SHOP),
    ("nowhere", 0, {"owner", "admin"}),
    ("web", frames.SUBMIT_TO_SOURCE, SOURCE_ADMINS | {"ingest"}),
]
EVENT = wire.Events(b"\x01", [""], [""], {}, [1], b"\x80")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCore]:
    """A daemon that answers every operation it lets through, and has a token for each column, named after it."""

    async def answered(_core: Any, _request: Any) -> list[Any]:
        return []

    async def streamed(_core: Any, _request: Any) -> Any:
        return
        yield

    calls = {name: streamed if row.is_stream else answered for name, row in OPERATIONS.items()}
    with pytest.MonkeyPatch.context() as patch, served(tmp_path_factory.mktemp("doors") / "s.sock") as daemon:
        patch.setattr(connection, "CALLS", calls)
        for column, roles in COLUMNS.items():
            daemon.tokens.add(column, *roles)
        yield daemon


def ask(client: Client, packed: bytes, request_id: int, inbox: list[wire.Frame]) -> None:
    client._session._takers[request_id] = inbox.append
    client._send(packed)
    while not inbox:
        client._exchange()


def is_let_through(frame: wire.Frame) -> bool:
    if isinstance(frame, frames.Error):
        if frame.code in {"forbidden", "unauthenticated"}:
            return False
        assert frame.code == "not_found", frame
    return True


def may_submit(client: Client, name: str, flags: int) -> bool:
    try:
        client.submit(name, EVENT, to_source=bool(flags & frames.SUBMIT_TO_SOURCE))
    except (Forbidden, Unauthenticated):
        return False
    except NotFound:
        pass
    return True


def test_every_operation_has_a_row_here_and_there() -> None:
    assert {name for name, _, _ in TABLE} == set(OPERATIONS)
    assert set(ACCESS) == {*OPERATIONS, "submit", "submit to a source"}


def test_every_role_has_a_column() -> None:
    assert {text.partition("=")[0] for roles in COLUMNS.values() for text in roles} == set(Role)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_token_lets_its_owner_do_what_its_roles_let_and_nothing_else(
    doors: ServedCore, column: str
) -> None:
    with Client(doors.path, token=column) as client:
        for number, (operation, arguments, allowed) in enumerate(TABLE, 1):
            inbox: list[wire.Frame] = []
            ask(client, pack_call(number, operation, arguments), number, inbox)
            assert is_let_through(inbox[0]) == (column in allowed), (operation, arguments)
        for name, flags, allowed in SUBMITS:
            assert may_submit(client, name, flags) == (column in allowed), (name, flags)


@pytest.fixture
def relay(doors: ServedCore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Whose process may do everything: what it passes on may not."""
    monkeypatch.setattr("engine.client.pack_hello", lambda token: pack_hello(token, is_relay=True))
    with Client(doors.path) as client:
        yield client


@pytest.mark.parametrize("column", COLUMNS)
def test_a_call_that_is_passed_on_may_what_its_token_may_and_no_more(relay: Client, column: str) -> None:
    for number, (operation, arguments, allowed) in enumerate(TABLE, 1):
        inbox: list[wire.Frame] = []
        ask(relay, pack_call(number, operation, arguments, OnBehalf(column, "10.0.0.1")), number, inbox)
        assert is_let_through(inbox[0]) == (column in allowed), (operation, arguments)


OF_A_RELAY = {"source.keys", "ready", "metrics", "http.count"}


def test_a_relay_by_itself_knows_write_keys_and_sends_events_to_sources(relay: Client) -> None:
    for number, (operation, arguments, _) in enumerate(TABLE, 1):
        inbox: list[wire.Frame] = []
        ask(relay, pack_call(number, operation, arguments), number, inbox)
        assert is_let_through(inbox[0]) == (operation in OF_A_RELAY)
    for name, flags, _ in SUBMITS:
        assert may_submit(relay, name, flags) == (flags == frames.SUBMIT_TO_SOURCE)


def test_a_call_that_is_passed_on_without_a_token_may_nothing(relay: Client) -> None:
    for number, (operation, arguments, _) in enumerate(TABLE, 1):
        inbox: list[wire.Frame] = []
        ask(relay, pack_call(number, operation, arguments, OnBehalf(None, "10.0.0.1")), number, inbox)
        assert isinstance(inbox[0], frames.Error)
        assert inbox[0].code == "unauthenticated", operation


def test_who_shows_a_relay_no_token_is_told_which_role_one_needs(relay: Client) -> None:
    with pytest.raises(Unauthenticated) as refused:
        relay.call("list")
    assert refused.value.message == "this takes a token with the role functions-read-only"
    assert "engine token create" in refused.value.remedy


@pytest.mark.parametrize("column", ["read", "payloads"])
def test_only_who_may_send_events_may_pass_calls_on(
    doors: ServedCore, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.client.pack_hello", lambda token: pack_hello(token, is_relay=True))
    with pytest.raises(Forbidden, match="lacks the role ingest"):
        Client(doors.path, token=column)


def test_only_a_relay_passes_tokens_on(doors: ServedCore) -> None:
    with Client(doors.path) as client, pytest.raises(EngineError, match="only a relay's calls have tokens"):
        ask(client, pack_call(1, "list", {}, OnBehalf("owner", "")), 1, [])


# --- Over HTTP


@pytest.fixture(scope="module")
def link(doors: ServedCore) -> Iterator[Link]:
    """A gateway's connections to it."""

    async def opened() -> Link:
        link = await Link(str(doors.path), lambda client: client.ended()).__aenter__()
        async with asyncio.timeout(10):
            while None in link._clients:  # noqa: ASYNC110  nothing announces it
                await asyncio.sleep(0.001)
        return link

    link = doors.run(opened())
    yield link
    doors.run(link.__aexit__(None, None, None))


async def status_of(link: Link, route: Route, arguments: dict[str, Any], token: str | None) -> int:
    """What the control API answers a request with."""
    rest = {name: value for name, value in arguments.items() if name not in route.in_path}
    path = "/api/v1" + route.path.replace("{name}", str(arguments.get("name", "")))
    scope = {
        "type": "http",
        "method": route.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(rest).encode() if route.is_in_query else b"",
        "headers": [] if token is None else [(b"authorization", f"Bearer {token}".encode())],
        "client": ("10.0.0.1", 50_000),
    }
    sent: list[Any] = []
    body = [{"type": "http.request", "body": b"" if route.is_in_query else json.dumps(rest).encode()}]

    async def receive() -> Any:
        return body.pop() if body else await asyncio.Event().wait()  # the client stays

    async def send(message: Any) -> None:
        sent.append(message)

    await Control(link, Budget())(scope, receive, send)
    return int(sent[0]["status"])


def statuses(doors: ServedCore, link: Link, token: str | None) -> list[int]:
    """Of every request, all at once."""

    async def all_of_them() -> list[int]:
        asked = [status_of(link, route, arguments, token) for route, arguments, _ in OVER_HTTP]
        return await asyncio.gather(*asked)

    answered: list[int] = doors.run(all_of_them())
    return answered


OVER_HTTP = [
    *(
        (next(route for route in ROUTES if route.operation == name), *rest)
        for name, *rest in TABLE
        if name in PATHS
    ),
    *(
        (route, {"name": name, "events": [{"type": "track"}]}, allowed)
        for route in ROUTES
        for name, flags, allowed in SUBMITS
        if route.operation == ("source.submit" if flags else "submit")
    ),
]


@pytest.mark.parametrize("column", COLUMNS)
def test_over_http_a_token_may_the_same(doors: ServedCore, link: Link, column: str) -> None:
    for (route, arguments, allowed), status in zip(OVER_HTTP, statuses(doors, link, column), strict=True):
        assert (status not in {401, 403}) == (column in allowed), (route.operation, arguments, status)


@pytest.mark.parametrize("token", [None, "unknown"])
def test_over_http_who_shows_no_token_that_is_known_may_nothing(
    doors: ServedCore, link: Link, token: str | None
) -> None:
    before = len(doors.core.submitted)
    assert set(statuses(doors, link, token)) <= {401, 429}
    assert len(doors.core.submitted) == before


# --- What a refusal says


def refusal(roles: list[str], operation: str, **arguments: Any) -> Forbidden:
    _, request = parse(operation, arguments)
    with pytest.raises(Forbidden) as refused:
        access.check("token t", Grants.parse(roles), ACCESS[operation], FakeDirectory(), request)
    return refused.value


def test_a_refusal_says_which_role_is_missing_and_how_to_get_it() -> None:
    told = refusal(["functions-read-only"], "function.save", name="shop", **CODE)
    assert told.message == "token t lacks the role functions-admin=shop"
    assert "`engine token create NAME --role functions-admin=shop`" in told.remedy
    assert told.data == {"roles": ["functions-admin=shop"]}


def test_a_refusal_names_all_that_is_missing_at_once() -> None:
    told = refusal(["ingest"], "function.deploy", name="shop")
    assert told.data == {"roles": ["functions-admin=shop", "source-admin"]}
    assert told.message == "token t lacks the role functions-admin=shop and the role source-admin"


@pytest.mark.parametrize("name", ["orders", "nowhere"])
def test_a_refusal_does_not_tell_whether_a_hidden_destination_exists_nor_what_it_runs(name: str) -> None:
    told = refusal(["functions-read-only=crm"], "show", name=name)
    assert told.message == (
        f"token t lacks the role functions-read-only for the function of the destination {name!r}"
    )
    assert "shop" not in str(told)


# --- What is left out


def seen(roles: list[str], operation: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = access.visible(
        Grants.parse(roles), ACCESS[operation], FakeDirectory(), rows
    )
    return answer


@pytest.mark.parametrize(
    ("operation", "shown", "hidden"),
    [
        ("list", {"name": "orders"}, {"name": "other"}),
        ("health", {"name": "orders"}, {"name": "other"}),
        ("workers", {"destination": "orders"}, {"destination": "other"}),
        ("workers", {"destination": "orders"}, {"destination": None}),
        ("function.list", {"name": "shop"}, {"name": "crm"}),
        ("function.check", {"name": "shop"}, {"name": "crm"}),
        ("destination.list", {"name": "x", "function": "shop"}, {"name": "shop", "function": "crm"}),
        ("usage", {"destination": "x", "function": "shop"}, {"destination": "y", "function": "crm"}),
    ],
)
def test_a_list_leaves_out_what_one_may_not_see(
    operation: str, shown: dict[str, Any], hidden: dict[str, Any]
) -> None:
    for roles in (["functions-read-only=shop"], ["functions-admin=shop"]):
        assert seen(roles, operation, [shown, hidden]) == [shown]
    for roles in (["functions-read-only"], ["owner"]):
        assert seen(roles, operation, [shown, hidden]) == [shown, hidden]


def test_every_answer_in_rows_that_one_function_suffices_for_says_what_its_rows_are_about() -> None:
    for name, rule in ACCESS.items():
        if name != "test" and rule.of in {access._any, access._destination_or_any}:
            assert rule.rows is not None, name


PERSONAL = "bob@example.com"
ATTEMPT: dict[str, Any] = {
    "at": "2026-11-24",
    "code": "bad_request",
    "error": {
        "code": "bad_request",
        "type": "KeyError",
        "message": PERSONAL,
        "line": 3,
        "traceback": [{"line": 3, "function": "on_track"}],
        "more": PERSONAL,
    },
    "logs": [{"level": "info", "message": PERSONAL}],
    "requests": [
        {
            "method": "POST",
            "status": 404,
            "total_ms": 1.5,
            "url": f"https://x/{PERSONAL}",
            "request_headers": [["a", PERSONAL]],
            "request_body": PERSONAL,
            "response_body": PERSONAL,
            "later": PERSONAL,
        }
    ],
}


def test_what_an_event_may_have_brought_in_is_withheld_and_the_rest_is_shown() -> None:
    shown = without_payload({**ATTEMPT, "body": PERSONAL.encode(), "attempts": [ATTEMPT]})
    assert PERSONAL not in repr(shown)
    assert (shown["code"], shown["is_withheld"], shown["body"]) == ("bad_request", True, b"")
    assert (shown["error"]["type"], shown["error"]["line"], shown["error"]["message"]) == (
        "KeyError",
        3,
        WITHHELD,
    )
    assert shown["requests"] == [{"url": WITHHELD, "method": "POST", "status": 404, "total_ms": 1.5}]


def test_the_first_errors_of_a_submit_are_told_without_what_events_hold() -> None:
    packed = wire.Detail(error=ATTEMPT["error"], logs=ATTEMPT["logs"], result=PERSONAL, duration_us=7).pack()
    told = wire.Detail.unpack(detail_without_payload(packed))
    assert PERSONAL not in repr(told)
    assert (told.error or {})["line"] == 3
    assert told.duration_us == 7


@pytest.mark.parametrize(
    ("roles", "is_hidden"),
    [
        (["functions-admin"], True),
        (["functions-admin", "payloads=crm"], True),
        (["functions-admin", "payloads=shop"], False),
        (["functions-admin", "payloads"], False),
        (["owner"], False),
    ],
)
@pytest.mark.parametrize("operation", ["logs", "deliveries"])
def test_payloads_are_a_permission_of_their_own(operation: str, roles: list[str], is_hidden: bool) -> None:
    _, request = parse(operation, {"name": "orders"})
    grants, rule = Grants.parse(roles), ACCESS[operation]
    assert access.hides_payloads(grants, rule, FakeDirectory(), request) is is_hidden
    assert missing_roles(grants, rule, FakeDirectory(), request) == []


def test_streams_withhold_payloads_as_they_go(doors: ServedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def logs(_core: Any, _request: Any) -> Any:
        yield ATTEMPT

    monkeypatch.setitem(connection.CALLS, "logs", logs)
    with Client(doors.path, token="read-shop") as client:
        (line,) = client.logs("orders")
        assert PERSONAL not in repr(line)
    with Client(doors.path, token="owner") as client:
        assert list(client.logs("orders")) == [ATTEMPT]


def test_a_stream_ends_when_its_token_is_taken_away(
    doors: ServedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def logs(_core: Any, _request: Any) -> Any:
        for _ in range(2):
            yield ATTEMPT
            doors.tokens.known.pop(next(iter(digests)), None)

    doors.tokens.add("short", "functions-read-only")
    digests = [digest for digest, token in doors.tokens.known.items() if token.name == f"t{len(COLUMNS) + 1}"]
    monkeypatch.setitem(connection.CALLS, "logs", logs)
    with Client(doors.path, token="short") as client:
        lines = client.logs("orders")
        assert next(lines)["code"] == "bad_request"
        with pytest.raises(Unauthenticated, match="was removed"):
            next(lines)
        with pytest.raises(Unauthenticated, match="was removed"):
            client.list()

"""People and programs with less than all rights, through a real daemon: tokens, other users' processes, the audit."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from running import Daemon, wait_until

from engine.api.table import OPERATIONS
from engine.client import Client
from engine.errors import Forbidden, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Engine = Callable[..., subprocess.CompletedProcess[str]]

NOBODY = 65534
CODE = "def on_track(event):\n    raise ValidationError('of ' + event['userId'])\n"
EVENT = {"type": "track", "userId": "bob@example.com", "event": "x"}
AS_NOBODY = """
import json, os, sys
from engine.api.table import OPERATIONS
from engine.client import Client
from engine.errors import EngineError
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
try:
    with Client(sys.argv[1]) as client:
        print(json.dumps([row["name"] for row in client.list()]))
except EngineError as error:
    print(json.dumps(error.code))
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One whose socket everybody may connect to."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        daemon = Daemon(tmp_path_factory.mktemp("people"))
        daemon.socket = Path(place) / "engine.sock"
        (daemon.folder / "engine.toml").write_text("socket_mode = 0o666\n")
        daemon.start("--config", str(daemon.folder / "engine.toml"))
        with daemon.client() as client:
            for name in ("shop", "crm"):
                client.deploy(name, CODE)
            client.submit("shop", [EVENT], wait=True)
        yield daemon
        assert daemon.stop() == 0, daemon.log.read_text()[-2000:]


def token(engine: Engine, name: str, *roles: str) -> str:
    made = engine("token", "create", name, *(f"--role={role}" for role in roles), "--json")
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["token"])


def test_a_token_is_made_shown_once_listed_used_and_removed(engine: Engine) -> None:
    made = engine("token", "create", "ci", "--role", "functions-read-only=shop", "--expires", "2h")
    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    assert text.startswith("engine_")
    listed = engine("list", "--json", ENGINE_TOKEN=text)
    assert [row["name"] for row in json.loads(listed.stdout)] == ["shop"]
    rows = engine("token", "list")
    assert "functions-read-only=shop" in rows.stdout
    assert text not in rows.stdout + engine("token", "list", "--json").stdout + engine("audit").stdout
    (row,) = [row for row in json.loads(engine("token", "list", "--json").stdout) if row["name"] == "ci"]
    assert row["used"] is not None
    assert engine("token", "remove", "ci").returncode == 0
    refused = engine("list", ENGINE_TOKEN=text)
    assert refused.returncode == 1
    assert "nobody knows this token" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--role", "boss"], "'boss' is no role"),
        ([], "--role"),
        (["--role", "owner", "--expires", "tomorrow"], "is no time"),
        (["--role", "owner", "--expires", "2020-01-01"], "expired already"),
    ],
)
def test_a_token_that_can_not_be_is_refused(engine: Engine, arguments: list[str], problem: str) -> None:
    refused = engine("token", "create", "bad", *arguments)
    assert refused.returncode == 2
    assert problem in refused.stderr


def test_what_a_token_may_not_is_refused_with_the_missing_role(daemon: Daemon, engine: Engine) -> None:
    text = token(engine, "reader", "functions-read-only=shop")
    with Client(daemon.socket, token=text) as client:
        assert client.show("shop")["name"] == "shop"
        with pytest.raises(Forbidden, match="token reader lacks the role functions-admin"):
            client.pause("shop")
        with pytest.raises(Forbidden, match="functions-read-only for the function of the destination 'crm'"):
            client.show("crm")
        with pytest.raises(Forbidden, match="lacks the role owner"):
            client.tokens.create("more", ["owner"])


def test_payloads_are_shown_to_who_may_see_them(daemon: Daemon, engine: Engine) -> None:
    person = EVENT["userId"]
    for roles, is_shown in ((["functions-admin"], False), (["functions-admin", "payloads=shop"], True)):
        text = token(engine, f"dev{len(roles)}", *roles)
        with Client(daemon.socket, token=text) as client:
            told: list[Any] = [*client.deliveries("shop"), *client.logs("shop")]
            told.append(client.submit("shop", [EVENT], wait=True).first_errors)
            assert len(told) >= 3
            assert all((person in repr(item)) == is_shown for item in told)


def test_the_audit_names_the_person(daemon: Daemon, engine: Engine) -> None:
    text = token(engine, "deployer", "functions-admin=shop")
    with Client(daemon.socket, token=text) as client:
        client.functions.save("shop", CODE + "#\n")
        assert client.functions.show("shop")["versions"][-1]["author"] == "token deployer"
    with daemon.client() as client:
        entries = {entry["who"]: entry for entry in client.audit() if entry["subject"] == "shop"}
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert f"user {me}" in entries
    assert entries["token deployer"]["action"] == "function.save"
    assert f"uid {os.geteuid()}" in entries["token deployer"]["origin"]


CHANGES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("source.create", {"name": "site"}, ["source.create"]),
    ("source.update", {"name": "site", "add_key": True}, ["source.add_key"]),
    ("function.save", {"name": "mail", "source": CODE}, ["function.create", "function.save"]),
    ("function.deploy", {"name": "mail"}, ["function.deploy"]),
    ("function.update", {"name": "mail", "description": "x"}, ["function.update"]),
    ("destination.create", {"name": "letters", "function": "mail"}, ["destination.create"]),
    ("destination.update", {"name": "letters", "sources": ["site"]}, ["destination.update"]),
    ("setting.update", {"name": "letters", "settings": {"a": 1}}, ["destination.update"]),
    ("deploy", {"name": "post", "source": CODE}, ["function.create", "function.save", "destination.create", "function.deploy"]),
    ("pause", {"name": "post"}, ["destination.pause"]),
    ("resume", {"name": "post"}, ["destination.resume"]),
    ("replay", {"name": "post", "state": "dead", "limit": 9}, ["destination.replay"]),
    ("remove", {"name": "post"}, ["destination.remove"]),
    ("remove", {"name": "letters"}, ["destination.remove"]),
    ("function.remove", {"name": "mail"}, ["function.remove"]),
    ("source.remove", {"name": "site"}, ["source.remove"]),
    ("token.create", {"name": "guest", "roles": ["ingest"]}, ["token.create"]),
    ("token.remove", {"name": "guest"}, ["token.remove"]),
    ("key.rotate", {}, ["key.rotate"]),
]  # fmt: skip
"""Each operation that changes something, and what the audit says of it."""
UNAUDITED = {
    **dict.fromkeys("source.list source.show source.samples source.keys".split(), "shows"),
    **dict.fromkeys("function.list function.show destination.list destination.show".split(), "shows"),
    **dict.fromkeys("setting.list token.list key.list usage audit list show stats".split(), "shows"),
    **dict.fromkeys("metrics ready workers deliveries health logs".split(), "shows"),
    "function.check": "what it loads is thrown away",
    "test": "what it runs is thrown away",
    "http.count": "a gateway tells what it has answered",
}


def test_every_operation_that_changes_something_is_in_the_audit_with_the_person(
    daemon: Daemon, engine: Engine
) -> None:
    assert {operation for operation, _, _ in CHANGES}.isdisjoint(UNAUDITED)
    assert {operation for operation, _, _ in CHANGES} | UNAUDITED.keys() == OPERATIONS.keys()
    text = token(engine, "changer", "owner", "functions-admin", "source-admin")
    with Client(daemon.socket, token=text) as client:
        for operation, arguments, actions in CHANGES:
            before = len([entry for entry in client.audit() if entry["who"] == "token changer"])
            ask = client.stream if OPERATIONS[operation].is_stream else client.call
            list(ask(operation, **arguments))
            entries = [entry for entry in client.audit() if entry["who"] == "token changer"][before:]
            assert [entry["action"] for entry in entries] == actions, operation
            if "name" in arguments:
                assert {entry["subject"] for entry in entries} == {arguments["name"]}
        asked = [entry for entry in client.audit() if entry["action"] == "destination.replay"]
        assert asked[-1]["detail"] == {"state": "dead", "limit": 9}


def test_what_changes_nothing_is_not_in_the_audit(daemon: Daemon) -> None:
    with daemon.client() as client:
        before = len(list(client.audit()))
        client.resume("crm")
        list(client.stream("replay", name="crm", dry_run=True))
        assert len(list(client.audit())) == before


def test_guesses_are_limited(daemon: Daemon) -> None:
    codes = []
    for number in range(15):
        with pytest.raises(Unauthenticated) as refused:
            Client(daemon.socket, token=f"engine_{number}")
        codes.append(refused.value.code)
    assert codes[-1] == "too_many_tries"
    with daemon.client() as client:  # who needs no token isn't held up
        assert client.list()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_s_processes_may_what_they_were_given(daemon: Daemon, engine: Engine) -> None:
    def listed(**env: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(daemon.socket)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **env},
        )
        return json.loads(done.stdout)

    assert listed() == "forbidden"
    assert listed(ENGINE_TOKEN=token(engine, "nobody", "functions-read-only=crm")) == ["crm"]
    (daemon.folder / "engine.toml").write_text(
        f'socket_mode = 0o666\n[peers]\n{NOBODY} = ["functions-read-only=shop"]\n'
    )
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: b"reloaded" in daemon.log.read_bytes())
    assert listed() == ["shop"]

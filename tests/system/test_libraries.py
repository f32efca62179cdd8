"""Functions that import libraries: found when they are deployed, run in workers of a zygote of their own, and nobody else pays."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from running import launchers_of, new_id, wait_until

from engine.errors import FunctionRefused
from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from running import Daemon

    from engine.client import Client

PLAIN = "import time\ndef on_track(event):\n    time.sleep(0.001)\n"
TOKENS = (
    "import jwt\ndef on_track(event, settings):\n    return jwt.encode({'sub': event['userId']}, 'k' * 32)\n"
)
EITHER = "try:\n    import pydash\nexcept ImportError:\n    pydash = None\ndef on_track(event):\n    return bool(pydash)\n"
TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jwt\ndef on_track(event):\n    return 1\n"
EVENT = {"type": "track", "event": "x", "userId": "u"}


def events(count: int) -> list[dict[str, Any]]:
    return [{**EVENT, "messageId": new_id()} for _ in range(count)]


def start(daemon: Daemon, *libraries: str) -> None:
    config = daemon.folder / "engine.toml"
    config.write_text(f"libraries = {json.dumps(libraries)}\nspares = 2\n")
    daemon.start("--config", str(config))


def zygotes(client: Client) -> list[list[str]]:
    return [row["libraries"] for row in client.stats()["zygotes"]]


def test_a_process_that_only_knows_of_libraries_has_imported_none() -> None:
    source = (
        "import sys, json; from sandbox import modules; modules.preload(sys.argv[1:]);"
        " print(json.dumps([name for name in sys.argv[1:] if name in sys.modules]))"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-c", source, *LIBRARIES], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == []


def test_the_zygote_with_libraries_comes_with_the_first_function_that_imports_one_and_its_death_costs_nothing(
    own_daemon: Daemon,
) -> None:
    start(own_daemon, "jwt", "pydash")
    with own_daemon.client() as client, own_daemon.client() as other:
        client.deploy("plain", PLAIN)
        client.deploy("types", TYPES)
        assert client.submit("plain", events(3), wait=True).by_code == {"delivered": 3}
        assert zygotes(client) == [[]]
        assert client.functions.show("plain")["libraries"] == []

        client.deploy("tokens", TOKENS)
        assert zygotes(client) == [[], ["jwt", "pydash"]]
        assert client.functions.show("tokens")["libraries"] == client.show("tokens")["libraries"] == ["jwt"]
        (result,) = client.test(TOKENS, [EVENT])
        assert result.result.startswith("'eyJ")
        (result,) = client.test(EITHER, [EVENT])
        assert result.result == "True"

        plain = {row["pid"] for row in other.workers() if row["destination"] == "plain"}
        results: list[Any] = []
        sender = threading.Thread(
            target=lambda: results.append(client.submit("tokens", events(400), wait=True))
        )
        sender.start()
        wait_until(
            lambda: any(row["destination"] == "tokens" and row["in_flight"] for row in other.workers())
        )
        (launcher,) = [item for item in launchers_of(own_daemon) if "--load-libraries" in item.cmdline()]
        launcher.children()[0].kill()
        sender.join(30)
        assert results[0].by_code == {"delivered": 400}
        assert plain == {row["pid"] for row in other.workers() if row["destination"] == "plain"}
    assert own_daemon.stop() == 0


def test_what_was_deployed_runs_after_a_restart_or_waits_while_its_library_is_not_allowed(
    own_daemon: Daemon,
) -> None:
    start(own_daemon, "jwt")
    with own_daemon.client() as client:
        client.deploy("tokens", TOKENS, limits={"retry_first_ms": 10, "retry_cap_ms": 10})
    own_daemon.stop()
    start(own_daemon, "jwt", "xmltodict")
    with own_daemon.client() as client:
        wait_until(lambda: zygotes(client) == [[], ["jwt", "xmltodict"]])  # before any event is there for it
        assert client.submit("tokens", events(2), wait=True).by_code == {"delivered": 2}
    own_daemon.stop()
    start(own_daemon)
    with own_daemon.client() as client:
        result = client.submit("tokens", events(1), wait=True)
        assert result.by_code == {"load_failed": 1}
        assert 'libraries = ["jwt"]' in result.first_errors["load_failed"]["message"]
        (row,) = client.functions.check()
        assert not row["ok"]
    assert own_daemon.stop() == 0


def test_an_import_that_is_not_allowed_is_refused_with_what_the_operator_can_do(
    client: Client,
) -> None:
    with pytest.raises(FunctionRefused) as refused:
        client.deploy("refused", TOKENS)
    (diagnostic,) = [item for item in refused.value.data["diagnostics"] if item["rule"] == "refused-import"]
    assert diagnostic["line"] == 1
    assert 'libraries = ["jwt"]' in diagnostic["remedy"]
    (result,) = client.test(EITHER, [EVENT])
    assert result.result == "False"


def test_a_library_that_is_not_installed_or_known_stops_the_start(
    tmp_path: Path, engine: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    config = tmp_path / "engine.toml"
    config.write_text('libraries = ["numpy"]\n')
    answer = engine("doctor", "--config", str(config))
    assert answer.returncode == 78
    assert "cryptography, jwt, phonenumbers, pydash, whenever, xmltodict" in answer.stderr


def test_the_doctor_tries_the_zygote_with_libraries_too(
    tmp_path: Path, engine: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    config = tmp_path / "engine.toml"
    config.write_text('libraries = ["jwt"]\n')
    answer = engine("doctor", "--json", "--config", str(config))
    assert json.loads(answer.stdout)["ok"]

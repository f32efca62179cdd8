"""Functions, versions, settings, secrets and filters, through a real daemon."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import pwd
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from running import wait_until

from engine.client import AsyncClient
from engine.errors import Conflict, FunctionRefused, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from running import Daemon

    from engine.client import Client

    Engine = Callable[..., subprocess.CompletedProcess[str]]

SECRET = "s3cr3t-7f1c9e02b4"  # what is searched for must not stand in any other file of the test
WITH_SECRET = (
    'SETTINGS = [{"label": "API Key", "required": True, "sensitive": True}, {"label": "Region"}]\n'
    "def on_track(event, settings):\n    key, region = settings.apiKey, settings.get('region')\n"
)
ECHO = "def on_track(event):\n    return event\n"


def track(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": f"m{number}", "userId": "u", "event": "x", **more}


def codes(client: Client, name: str, *events: dict[str, Any]) -> dict[str, int]:
    return client.submit(name, list(events), wait=True).by_code


# --- Versions


def test_a_function_is_saved_deployed_and_rolled_back(client: Client) -> None:
    saved = client.functions.save("shop", "def on_track(e):\n    pass\n", description="one")
    assert (saved["version"], saved["deployed_to"]) == (1, [])
    client.destinations.create("shop-eu", "shop")
    client.destinations.create("shop-us", "shop")
    client.destinations.create("shop-old", "shop", version=1)
    failing = "def on_track(e):\n    raise ValidationError('two')\n"
    assert client.functions.save("shop", failing)["version"] == 2
    assert codes(client, "shop-eu", track()) == {"delivered": 1}
    assert client.functions.deploy("shop") == {
        "name": "shop",
        "version": 2,
        "deployed_to": ["shop-eu", "shop-us"],
    }
    assert codes(client, "shop-eu", track(1)) == codes(client, "shop-us", track(1)) == {"message_rejected": 1}
    assert codes(client, "shop-old", track(1)) == {"delivered": 1}
    client.functions.deploy("shop", version=1)
    assert codes(client, "shop-eu", track(2)) == {"delivered": 1}
    client.functions.deploy("shop", version=2, destinations=["shop-us"])
    shown = client.functions.show("shop")
    assert shown["destinations"] == {"shop-eu": 1, "shop-old": 1, "shop-us": 2}
    assert [row["version"] for row in shown["versions"]] == [1, 2]
    assert shown["versions"][0]["author"] == f"user {pwd.getpwuid(os.geteuid()).pw_name}"
    assert client.functions.show("shop", version=1)["code"] == "def on_track(e):\n    pass\n"
    client.destinations.update("shop-us", follow=True)
    assert client.functions.show("shop")["destinations"]["shop-us"] == 1


def test_a_version_that_does_not_load_changes_nothing(client: Client) -> None:
    client.deploy("steady", ECHO)
    for broken in ("def on_track(event)\n", "import os\n", "1 / 0\ndef on_track(event): pass\n", "x = 1\n"):
        with pytest.raises(FunctionRefused):
            client.functions.save("steady", broken, deploy=True)
        with pytest.raises(FunctionRefused):
            client.deploy("steady", broken, settings={"k": 1}, filter="drop")
    shown = client.functions.show("steady")
    assert [row["version"] for row in shown["versions"]] == [1]
    assert client.destinations.show("steady")["filter"] == ""
    assert client.destinations.settings("steady") == []
    assert codes(client, "steady", track()) == {"delivered": 1}
    assert all(row["ok"] for row in client.functions.check() if row["name"] == "steady")


def test_a_function_that_runs_can_not_be_removed(client: Client) -> None:
    client.deploy("needed", ECHO)
    with pytest.raises(Conflict, match="1 destinations run"):
        client.functions.remove("needed")
    client.remove("needed")
    client.functions.remove("needed")
    with pytest.raises(NotFound):
        client.functions.show("needed")


# --- Settings


def test_settings_are_checked_against_what_the_code_declares(client: Client) -> None:
    with pytest.raises(UsageError) as caught:
        client.deploy("declared", WITH_SECRET, settings={"regoin": "eu", "region": 5})
    assert caught.value.data["missing"] == ["apiKey"]
    assert {item["setting"] for item in caught.value.data["problems"]} == {"regoin", "apiKey", "region"}
    with pytest.raises(NotFound):
        client.show("declared")
    client.deploy("declared", WITH_SECRET, settings={"apiKey": SECRET, "region": "eu"})
    client.deploy("declared", WITH_SECRET + "# two\n", settings={"region": "us"})
    assert [
        (row["name"], row["is_set"], row["value"]) for row in client.destinations.settings("declared")
    ] == [
        ("apiKey", True, None),
        ("region", True, "us"),
    ]
    assert codes(client, "declared", track()) == {"delivered": 1}


def test_a_deploy_that_lacks_a_required_setting_is_refused_for_all(client: Client) -> None:
    client.functions.save("lacks", ECHO)
    client.destinations.create("lacks-a", "lacks", settings={"token": "t"})
    client.destinations.create("lacks-b", "lacks")
    needs = 'SETTINGS = [{"label": "Token", "required": True}]\n' + ECHO
    with pytest.raises(UsageError, match="lacks-b: token: required") as caught:
        client.functions.save("lacks", needs, deploy=True)
    assert caught.value.data["missing_of"] == {"lacks-b": ["token"]}
    assert client.functions.show("lacks")["destinations"] == {"lacks-a": 1, "lacks-b": 1}
    assert [row["version"] for row in client.functions.show("lacks")["versions"]] == [1]
    client.destinations.update("lacks-b", settings={"token": "t"})
    assert client.functions.save("lacks", needs, deploy=True)["deployed_to"] == ["lacks-a", "lacks-b"]


def test_changed_settings_reach_workers_that_run(client: Client) -> None:
    client.deploy(
        "live",
        "def on_track(event, settings):\n    if settings.stop: raise DropEvent()\n",
        settings={"stop": False},
    )
    assert codes(client, "live", track(1)) == {"delivered": 1}
    client.destinations.update("live", settings={"stop": True})
    assert codes(client, "live", track(2)) == {"dropped": 1}
    client.destinations.update("live", settings={"stop": None})
    assert codes(client, "live", track(3)) == {"invalid_settings": 1}


def test_a_change_made_while_a_version_is_tried_out_is_not_lost(daemon: Daemon, client: Client) -> None:
    source = "SETTINGS = [{'label': 'Region'}]\n" + ECHO
    client.deploy("overtaken", source, settings={"region": "eu"})
    slow = "import time\ntime.sleep(1)\n" + source
    with ThreadPoolExecutor() as pool, daemon.client() as other:
        deploying = pool.submit(other.deploy, "overtaken", slow)
        wait_until(lambda: any(worker["destination"] == "(trial)" for worker in client.workers()))
        client.destinations.update("overtaken", settings={"region": "us"}, filter="exists userId")
        assert deploying.result(30)["version"] == 2
    shown = client.destinations.show("overtaken")
    assert (shown["version"], shown["filter"], shown["settings"][0]["value"]) == (2, "exists userId", "us")


def test_the_asynchronous_client_has_the_same_operations(daemon: Daemon, client: Client) -> None:
    async def ask() -> tuple[Any, ...]:
        async with AsyncClient(daemon.socket) as asynchronous:
            await asynchronous.deploy("asked-async", ECHO)
            await asynchronous.sources.create("asked-async")
            await asynchronous.destinations.update("asked-async", sources=["asked-async"])
            entries = [entry async for entry in asynchronous.audit()]
            shown = await asynchronous.sources.show("asked-async")
            return (
                shown,
                entries[-1]["action"],
                await asynchronous.functions.list(),
                await asynchronous.keys.show(),
            )

    shown, action, functions, keys = asyncio.run(ask())
    assert shown == client.sources.show("asked-async")
    assert action == "destination.update"
    assert "asked-async" in {row["name"] for row in functions}
    assert keys == client.keys.show()


# --- Filters


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_filter_decides_what_the_handler_gets(client: Client, keyword: str) -> None:
    name = f"filter-{keyword[:1]}"
    source = (
        f"{keyword} on_track(event):\n    if 'ip' in event['properties']: raise ValidationError('seen')\n"
    )
    client.deploy(
        name, source, filter="properties.total > 100 and not exists properties.test\nremove properties.ip"
    )
    events = [track(at, properties={"total": 50 * at, "ip": "203.0.113.7"}) for at in range(6)]
    assert codes(client, name, *events, track(9, properties={"total": 900, "test": True})) == {
        "delivered": 3,
        "filtered": 4,
    }
    client.destinations.update(name, filter="")
    assert codes(client, name, track(10, properties={"ip": "203.0.113.7"})) == {"message_rejected": 1}


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_batch_holds_only_what_the_filter_lets_pass(client: Client, keyword: str) -> None:
    name = f"filter-batch-{keyword[:1]}"
    source = f"{keyword} on_batch(events):\n    return [{{'status': 200 + e['properties']['n']}} for e in events]\n"
    client.deploy(name, source, limits={"batch_size": 4, "batch_wait_ms": 50}, filter="properties.n < 100")
    events = [track(at, properties={"n": n}) for at, n in enumerate([0, 100, 1, 200, 300, 400, 500, 600])]
    assert codes(client, name, *events) == {"delivered": 2, "filtered": 6}


def test_a_filter_that_can_not_be_read_is_refused_with_a_caret(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(ECHO)
    done = engine("deploy", str(tmp_path / "f.py"), "--filter", 'type == "track"')
    assert done.returncode == 2
    assert "column 6" in done.stderr
    assert "write = instead" in done.stderr
    assert engine("show", "f").returncode == 2


# --- Usage


def test_what_functions_use_is_told_by_day(client: Client) -> None:
    source = "import time\ndef on_track(event):\n    time.sleep(0.002)\n"
    client.deploy("used", source)
    batch = "def on_batch(events):\n    pass\n"
    client.deploy("used-batch", batch, limits={"batch_size": 10, "batch_wait_ms": 10_000})
    codes(client, "used", *[track(at) for at in range(20)])
    codes(client, "used-batch", *[track(at) for at in range(20)])
    rows = {row["destination"]: row for row in client.usage() if row["function"].startswith("used")}
    assert (rows["used"]["invocations"], rows["used"]["events"]) == (20, 20)
    assert (rows["used-batch"]["invocations"], rows["used-batch"]["events"]) == (2, 20)
    assert 40_000 <= rows["used"]["busy_us"] < 30_000_000


# --- Secrets


def test_sensitive_values_are_refused_on_a_command_line(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "vault.py"
    file.write_text(WITH_SECRET)
    done = engine("deploy", str(file), "--set", f"apiKey={SECRET}")
    assert done.returncode == 2
    assert "apiKey is sensitive" in done.stderr
    assert "--set apiKey=@FILE" in done.stderr
    assert SECRET not in done.stderr
    assert engine("deploy", str(file), "--set", "apiKey=-", stdin="first\n").returncode == 0
    done = engine("setting", "update", "vault", "--set", f"apiKey={SECRET}")
    assert done.returncode == 2
    assert (
        engine(
            "setting", "update", "vault", "--set", "apiKey=-", "--set", "region=eu", stdin="second\n"
        ).returncode
        == 0
    )
    listed = engine("setting", "list", "vault")
    assert "second" not in listed.stdout
    assert '"eu"' in listed.stdout


def test_on_a_terminal_deploy_asks_for_what_is_missing_and_does_not_echo_secrets(
    daemon: Daemon, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "asked.py").write_text(
        "SETTINGS = [{'label': 'API Key', 'required': True, 'sensitive': True},"
        " {'label': 'Regions', 'type': 'ARRAY', 'required': True}]\n" + ECHO
    )
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "deploy", str(tmp_path / "asked.py")],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "ENGINE_SOCKET": str(daemon.socket)},
    )
    os.close(slave)
    seen = b""
    answers = [(b"API Key (apiKey)", f"{SECRET}\n"), (b"Regions (regions)", "eu, us\n")]
    with suppress(OSError):  # a terminal ends so
        while data := os.read(master, 4096):
            seen += data
            if answers and answers[0][0] in seen:
                os.write(master, answers.pop(0)[1].encode())
    os.close(master)
    assert process.wait(10) == 0, seen
    assert SECRET.encode() not in seen
    rows = {row["name"]: row for row in client.destinations.settings("asked")}
    assert rows["apiKey"]["is_set"]
    assert rows["regions"]["value"] == ["eu", "us"]


def test_a_folder_is_deployed_by_its_manifests_and_a_dry_run_changes_nothing(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "function.py").write_text(ECHO)
        (tmp_path / name / "function.toml").write_text(
            f'name = "folder-{name}"\ndescription = "of {name}"\nfilter = "exists userId"\ntimeout_ms = 700\n'
            '[[settings]]\nlabel = "Region"\n'
        )
    done = engine("deploy", str(tmp_path), "--dry-run")
    assert "would create folder-one" in done.stdout
    assert engine("show", "folder-one").returncode == 2
    assert engine("deploy", str(tmp_path)).returncode == 0
    for name in ("one", "two"):
        shown = client.destinations.show(f"folder-{name}")
        assert (shown["filter"], shown["limits"]["timeout_ms"]) == ("exists userId", 700)
        assert client.functions.show(f"folder-{name}")["description"] == f"of {name}"
    (tmp_path / "one" / "function.py").write_text(ECHO + "# changed\n")
    done = engine("deploy", str(tmp_path), "--dry-run", "--set", "region=eu")
    assert "+# changed" in done.stdout
    assert "setting region" in done.stdout
    assert client.functions.show("folder-one")["version"] == 1
    (tmp_path / "two" / "function.py").write_text("def on_track(event)\n")
    done = engine("deploy", str(tmp_path))
    assert done.returncode == 1
    assert "updated folder-one, version 2" in done.stdout
    assert client.functions.show("folder-two")["version"] == 1


GONE = (ProcessLookupError, FileNotFoundError)
"""A spare may end, and another take its place, while processes are looked at."""


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def memory(pid: int) -> Iterator[bytes]:
    """What a process has written, mapping by mapping."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as held:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode, *_ = line.split()
            if mode.startswith("rw"):
                begin, end = (int(part, 16) for part in span.split("-"))
                with suppress(OSError):  # some special mappings can't be read
                    held.seek(begin)
                    yield held.read(end - begin)


def test_no_secret_is_found_where_none_belongs(own_daemon: Daemon) -> None:
    own_daemon.start("--log-level", "debug")
    with own_daemon.client() as client:
        leaks = "    print(key)\n    console.log({'key': key})\n    raise ValueError(f'{key} was refused')\n"
        client.deploy("vault", WITH_SECRET + leaks, settings={"apiKey": SECRET})
        client.deploy("free", ECHO, settings={"anything": SECRET})
        client.submit("vault", [track(1)], wait=True)
        with suppress(UsageError):
            client.destinations.update("vault", settings={"apiKey": {SECRET: [SECRET]}})
        client.keys.rotate()
        answers: list[Any] = [
            client.show("vault"),
            client.destinations.show("vault"),
            client.destinations.settings("vault"),
            client.functions.show("vault"),
            list(client.audit()),
            list(client.logs("vault")),
            list(client.deliveries("vault")),
            client.list(),
            client.workers(),
            client.stats(),
        ]
        assert SECRET not in json.dumps(answers, default=str)
        assert "****" in json.dumps(answers, default=str)
        assert own_daemon.process is not None
        processes = [psutil.Process(own_daemon.process.pid)]
        processes += processes[0].children(recursive=True)
        for process in processes:
            for name in ("cmdline", "environ"):
                with suppress(PermissionError, *GONE):  # an ordinary user may not look at all
                    assert SECRET.encode() not in Path(f"/proc/{process.pid}/{name}").read_bytes()
        # In memory the bound workers and the egress have it. The daemon had it for a moment; a freed object isn't blanked.
        bound = {row["pid"] for row in client.workers() if row["destination"] in {"vault", "free"}}
        others = [
            each for each in processes[1:] if each.pid not in bound and "egress" not in command_of(each)
        ]
        assert len(others) >= 3
        with suppress(PermissionError):  # a process that isn't dumpable shows its memory to root alone
            assert any(SECRET.encode() in part for pid in bound for part in memory(pid))
            for process in others:
                with suppress(*GONE):
                    assert not any(SECRET.encode() in part for part in memory(process.pid)), process
    own_daemon.stop()
    files = [path for path in own_daemon.folder.rglob("*") if path.is_file()]
    assert {"registry.db", "journal.db", "records.db", "log", "secret.key"} <= {path.name for path in files}
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path.name


def test_a_core_dump_of_the_daemon_is_ruled_out(daemon: Daemon) -> None:
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/limits").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
    # A process that isn't dumpable belongs to root, whoever runs it; as root the owner says nothing.
    if os.geteuid():
        assert Path(f"/proc/{daemon.process.pid}/environ").stat().st_uid == 0


def test_a_rotated_key_opens_everything_after_a_restart_and_a_lost_one_is_told(own_daemon: Daemon) -> None:
    own_daemon.start()
    with own_daemon.client() as client:
        client.deploy("vault", WITH_SECRET, settings={"apiKey": SECRET})
        before = client.keys.show()
        rotated = client.keys.rotate()
        assert (rotated["replaces"], rotated["resealed"]) == (before["current"], 1)
        assert codes(client, "vault", track(1)) == {"delivered": 1}
    own_daemon.kill()
    own_daemon.start()
    with own_daemon.client() as client:
        assert client.keys.show()["keys"] == [rotated["current"]]
        assert codes(client, "vault", track(2)) == {"delivered": 1}
        actions = [entry["action"] for entry in client.audit()]
        assert "key.rotate" in actions
        assert "secret.open" in actions
    own_daemon.stop()
    (own_daemon.folder / "secret.key").unlink()
    with pytest.raises(BaseException, match="the daemon ended"):
        own_daemon.start()
    log = own_daemon.log.read_text()
    assert rotated["current"] in log
    assert "put that key back" in log


# --- Changes under load

RATE_PER_S = 5_000


def test_changes_under_load_lose_and_double_nothing(daemon: Daemon) -> None:
    """A deploy, a rollback, a settings change, a filter change and a key rotation while a source feeds two destinations."""
    source = "SETTINGS = [{'label': 'Key', 'sensitive': True}]\ndef on_track(event, settings):\n    return settings.key\n"
    with daemon.client() as client:
        client.sources.create("loaded")
        client.deploy("busy", source, settings={"key": SECRET}, sources=["loaded"])
        client.deploy("beside", ECHO, sources=["loaded"])
        client.functions.save("busy", source + "# two\n")
    stop = threading.Event()
    totals: Counter[str] = Counter()
    sent = [0]

    def send() -> None:
        with daemon.client() as sender:

            def batches() -> Any:
                begun = time.monotonic()
                while not stop.is_set():
                    yield [track(sent[0] + at, properties={"n": at}) for at in range(100)]
                    sent[0] += 100
                    time.sleep(max(0.0, begun + sent[0] / RATE_PER_S - time.monotonic()))

            for result in sender.submit_many("loaded", batches(), wait=True, to_source=True):
                totals.update(result.by_code)

    sending = threading.Thread(target=send)
    begun = time.monotonic()
    sending.start()
    try:
        with daemon.client() as client:
            for change in (
                lambda: client.functions.deploy("busy", version=2),
                lambda: client.functions.deploy("busy", version=1),
                lambda: client.destinations.update("busy", settings={"key": SECRET[::-1]}),
                client.keys.rotate,
                lambda: client.destinations.update("busy", filter="properties.n < 50"),
                lambda: client.deploy("busy", source + "# three\n"),
            ):
                before = sent[0]
                change()
                wait_until(lambda before=before: sent[0] >= before + 1_000, 20)
        # The rate was held: whatever the changes held up has been caught up with.
        wait_until(lambda: sent[0] >= 0.95 * RATE_PER_S * (time.monotonic() - begun), 20)
    finally:
        stop.set()
        sending.join(30)
    assert not sending.is_alive()
    assert sent[0] >= 6_000
    assert set(totals) == {"delivered", "filtered"}
    assert sum(totals.values()) == 2 * sent[0]
    with daemon.client() as client:
        busy, beside = client.show("busy"), client.show("beside")
        assert beside["by_code"] == {"delivered": sent[0]}
        assert Counter(busy["by_code"]) + Counter(beside["by_code"]) == totals
        for name in ("busy", "beside"):
            wait_until(lambda name=name: client.show(name)["stored"] == 0)

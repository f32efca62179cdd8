"""The command line as a new user meets it: with a daemon, without one, with wrong input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Engine = Callable[..., subprocess.CompletedProcess[str]]

GOOD = (
    "def on_track(event, settings):\n    if event['event'] == 'bad': raise ValueError('no')\n    return 1\n"
)


def track(name: str = "x") -> str:
    return json.dumps({"type": "track", "userId": "u", "event": name})


@pytest.fixture
def deployed(engine: Engine, tmp_path: Path) -> str:
    (tmp_path / "good.py").write_text(GOOD)
    done = engine("deploy", str(tmp_path / "good.py"), "--name", "cli")
    assert done.returncode == 0, done.stderr
    assert "on_track" in done.stdout
    return "cli"


@pytest.mark.parametrize(
    "command",
    [["list"], ["show", "x"], ["remove", "x"], ["stats"], ["workers"], ["logs", "x"], ["submit", "x"]],
)
def test_without_a_daemon_each_command_names_the_socket_and_how_to_start_one(
    engine: Engine, command: list[str], tmp_path: Path
) -> None:
    done = engine(*command, stdin=track(), ENGINE_SOCKET=str(tmp_path / "none.sock"))
    assert done.returncode == 69
    assert "none.sock" in done.stderr
    assert "engine serve" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [["deploy"], ["frobnicate"], ["list", "--nope"], ["submit"], ["show", "nobody"]]
)
def test_wrong_arguments_are_a_usage_error(engine: Engine, command: list[str]) -> None:
    done = engine(*command)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_submit_takes_an_object_an_array_or_lines(engine: Engine, deployed: str) -> None:
    for text in (
        track(),
        f"[{track()}, {track()}]",
        f"{track()}\n\n{track()}\n",
        json.dumps(json.loads(track()), indent=2),
    ):
        done = engine("submit", deployed, "-", "--wait", "--json", stdin=text)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["delivered"] == answer["accepted"] == text.count('"track"')
        assert set(answer) == {
            "accepted", "delivered", "discarded", "retrying", "dead", "duplicates", "by_code", "elapsed_ms",
        }  # fmt: skip


def test_one_invalid_line_stops_the_submit_and_is_named(engine: Engine, deployed: str) -> None:
    text = f"{track()}\nnot json\n[1]\n{json.dumps({'type': 'nonsense'})}\n{json.dumps({'type': 'track', 'x': 'y' * 40_000})}\n"
    done = engine("submit", deployed, stdin=text)
    assert done.returncode == 2
    for line, reason in (
        (2, "no JSON"),
        (3, "an event is an object"),
        (4, "'nonsense' is no type"),
        (5, "bytes"),
    ):
        assert any(f"line {line}:" in row and reason in row for row in done.stderr.splitlines()), done.stderr
    done = engine("submit", deployed, "-", "--skip-invalid", "--wait", "--json", stdin=text)
    assert json.loads(done.stdout)["delivered"] == 1
    assert json.loads(done.stdout)["skipped"] == 4


def test_failed_events_make_the_exit_status_one_and_show_the_first_error(
    engine: Engine, deployed: str
) -> None:
    done = engine("submit", deployed, "-", "--wait", stdin=f"{track()}\n{track('bad')}\n")
    assert done.returncode == 1
    assert "ValueError: no" in done.stdout
    assert "line 2" in done.stdout


def test_a_refused_deploy_shows_line_caret_and_remedy(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import os\n\ndef on_track(event):\n    return open('x')\n")
    done = engine("deploy", str(tmp_path / "bad.py"))
    assert done.returncode == 1
    assert "bad.py:1:1 refused-import" in done.stderr
    assert "bad.py:4:12 refused-builtin" in done.stderr
    assert "    " + " " * 11 + "^" in done.stderr
    assert "→" in done.stderr


def test_what_init_writes_is_deployed_as_it_is(engine: Engine, tmp_path: Path) -> None:
    for extra in ([], ["--batch"]):
        name = "batching" if extra else "single"
        assert engine("init", str(tmp_path / name), *extra).returncode == 0
        assert engine("deploy", str(tmp_path / name / "function.py")).returncode == 0
        assert engine("show", name).returncode == 0
        assert engine("init", str(tmp_path / name)).returncode == 2


def test_test_prints_one_object_an_event(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        "def on_track(event, settings):\n    console.log('hi')\n    return settings.k + event['n']\n"
    )
    (tmp_path / "e.json").write_text(json.dumps([{"type": "track", "n": 1}, {"type": "track", "n": "x"}]))
    done = engine(
        "test", str(tmp_path / "f.py"), "--event", str(tmp_path / "e.json"), "--set", "k=2", "--json"
    )
    assert done.returncode == 1
    good, bad = json.loads(done.stdout)["results"]
    assert (good["ok"], good["result"], good["logs"]) == (True, "3", [{"level": "info", "message": "hi"}])
    assert (bad["ok"], bad["error"]["type"], bad["error"]["line"]) == (False, "TypeError", 3)
    assert {"ok", "result", "error", "logs", "requests", "duration_ms"} == set(good)


def test_json_is_printed_where_asked(engine: Engine, deployed: str) -> None:
    assert any(row["name"] == deployed for row in json.loads(engine("list", "--json").stdout))
    assert json.loads(engine("show", deployed, "--json").stdout)["name"] == deployed
    assert "journal" in json.loads(engine("stats", "--json").stdout)
    assert isinstance(json.loads(engine("workers", "--json").stdout), list)


def test_a_bad_setting_of_the_daemon_is_refused_with_all_that_is_wrong(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "engine.toml").write_text('spares = 0\ntimeout = 3\nlog_level = "loud"\n')
    done = engine("serve", "--data-dir", str(tmp_path), "--config", str(tmp_path / "engine.toml"))
    assert done.returncode == 78
    for part in (
        "spares is a whole number from 1 to 64",
        "timeout is no setting; did you mean timeout_ms",
        "log_level is one of",
    ):
        assert part in done.stderr

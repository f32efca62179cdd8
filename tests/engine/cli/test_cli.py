"""Commands as a user runs them: what they print, and their exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from tied import spawn

from engine.cli.main import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import CommandLine
    from fake_core import ServedCore

Run: TypeAlias = "Callable[..., subprocess.CompletedProcess[str]]"
GOOD = "def on_track(event, settings):\n    return settings.prefix\n"
TRACK = {"type": "track", "event": "Bought"}


@pytest.fixture
def run(command_line: CommandLine, tmp_path: Path) -> Run:
    """Run `engine` in a directory of its own; no daemon answers unless the test has one."""

    def engine(*arguments: str, stdin: str | bytes = "", **environment: str) -> Any:
        done = command_line.run(
            *arguments,
            folder=tmp_path,
            environment={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "ENGINE_SOCKET": str(tmp_path / "e.sock"),
                **environment,
            },
            stdin=stdin.encode() if isinstance(stdin, str) else stdin,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return engine


@pytest.fixture
def function(tmp_path: Path) -> Path:
    path = tmp_path / "function.py"
    path.write_text(GOOD)
    return path


# --- Every command


def test_help_lists_every_command(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_and_offers_json(run: Run, name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    if "COMMAND [ARGS]" not in done.stdout:
        assert "--json" in done.stdout
        return
    for verb in re.findall(r"(?m)^  (\w+)  ", done.stdout.partition("Commands:")[2]):
        assert "--json" in run(name, verb, "--help").stdout, verb


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
def test_completion_is_printed_for_each_shell(run: Run, shell: str, word: str) -> None:
    script = run("completion", shell).stdout
    assert word in script
    assert "_ENGINE_COMPLETE" in script


def test_completion_offers_commands_and_their_verbs() -> None:
    for words, offered in (("engine sour", {"source"}), ("engine key ", {"list", "rotate"})):
        environment = {
            **os.environ,
            "_ENGINE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        code = "import sys; sys.argv = ['engine']; from engine.cli.main import run; run()"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )
        assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, engine.cli.main as m\n"
        "try: m.cli.main(['--help'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'pydantic', 'apsw', 'msgpack', 'structlog', 'uvloop', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "function.py"],
        ["submit", "orders", "events.json"],
        ["submit", "orders"],
        ["list"],
        ["show", "orders"],
        ["remove", "orders"],
        ["logs", "orders"],
        ["stats"],
        ["workers"],
        ["source", "list"],
        ["function", "create", "function.py"],
        ["key", "rotate"],
        ["audit"],
    ],
)
def test_without_a_daemon_the_socket_and_the_remedy_are_told(
    run: Run, function: Path, arguments: list[str]
) -> None:
    done = run(*arguments)
    assert done.returncode == 69
    assert str(function.parent / "e.sock") in done.stderr
    assert "engine serve" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Usage:"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["show"], "Missing argument 'NAME'"),
        (["deploy", "function.py", "--timeout-ms", "soon"], "'soon' is not a valid integer"),
        (["list", "--colour"], "No such option"),
        (["test", "function.py", "--sample", "purchase"], "'purchase' is not one of"),
        (["test", "none.py"], "none.py can't be read"),
        (["test", "."], "can't be read"),
        (["test", "function.py", "--event", "none.json"], "none.json can't be read"),
        (["test", "function.py", "--sample", "track", "--event", "x"], "exclude each other"),
        (["test", "function.py", "--set", "prefix"], "KEY=VALUE"),
        (["test", "function.py", "--settings", "function.py"], "can't be parsed"),
        (["test", "function.py", "--set", "n=99999999999999999999999"], "the setting n"),
        (["test", "function.py", "--timeout-ms", "1"], "from 50 to 900000"),
        (["init", "no/../way!"], "no good name"),
    ],
)
def test_wrong_arguments_are_told_with_status_2(
    run: Run, function: Path, arguments: list[str], reason: str
) -> None:
    assert function.exists()
    done = run(*arguments)
    assert done.returncode == 2
    assert reason in done.stderr


def test_off_linux_it_says_so() -> None:
    code = "import sys; sys.platform = 'darwin'; import engine.__main__ as m; m.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("engine runs on Linux only")


# --- init, test


@pytest.mark.parametrize("flags", [[], ["--batch"]])
def test_what_init_writes_passes_its_own_tests(run: Run, tmp_path: Path, flags: list[str]) -> None:
    assert run("init", "hello", *flags).returncode == 0
    folder = tmp_path / "hello"
    done = run("test", "hello/function.py")
    assert done.returncode == 0, done.stderr
    assert "track: ok in" in done.stdout
    inner = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert inner.returncode == 0, inner.stdout.decode()
    assert b"2 passed" in inner.stdout


def test_init_overwrites_nothing(run: Run, function: Path) -> None:
    (function.parent / "hello").mkdir()
    done = run("init", "hello")
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert json.loads(run("init", "other", "--json").stdout)["files"][0] == "function.py"


def test_a_test_s_result_has_the_documented_fields(run: Run, function: Path) -> None:
    done = run("test", str(function), "--set", "prefix=demo", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert set(result) == {"ok", "result", "error", "logs", "requests", "duration_ms"}
    assert (result["ok"], result["result"]) == (True, "'demo'")


def test_several_events_give_several_results(run: Run, function: Path, tmp_path: Path) -> None:
    (tmp_path / "events.json").write_text(json.dumps([TRACK, TRACK]))
    done = run("test", str(function), "--set", "prefix=demo", "--event", "events.json", "--json")
    assert [result["ok"] for result in json.loads(done.stdout)["results"]] == [True, True]


def test_a_missing_setting_is_named_with_its_line(run: Run, function: Path) -> None:
    done = run("test", str(function))
    assert done.returncode == 1
    assert "track: FAILED" in done.stdout
    assert "prefix" in done.stderr
    assert "function.py:2 in on_track" in done.stderr
    error = json.loads(run("test", str(function), "--json").stdout)["error"]
    assert {"code", "type", "message", "line", "column", "traceback"} <= set(error)
    assert (error["code"], error["line"]) == ("invalid_settings", 2)


def test_a_function_that_breaks_a_rule_is_shown_with_a_caret(run: Run, function: Path) -> None:
    function.write_text("import os\n\ndef on_track(event):\n    pass\n")
    done = run("test", str(function))
    assert done.returncode == 1
    assert "function.py:1:" in done.stderr
    assert "    import os\n" in done.stderr
    assert "^" in done.stderr
    assert "→" in done.stderr
    result = json.loads(run("test", str(function), "--json").stdout)
    assert set(result) == {"ok", "result", "error", "logs", "requests", "duration_ms"}
    assert (result["ok"], result["error"]["line"]) == (False, 1)


def test_console_output_is_cut_for_people_and_whole_for_programs(run: Run, function: Path) -> None:
    function.write_text("def on_track(event):\n    for at in range(100):\n        print('x' * 100)\n")
    done = run("test", str(function))
    assert len(done.stdout) < 5_000
    assert "cut at 4096 bytes" in done.stdout
    assert len(json.loads(run("test", str(function), "--json").stdout)["logs"]) == 100


def test_a_function_can_not_move_the_terminal_s_cursor(run: Run, function: Path) -> None:
    function.write_text("def on_track(event):\n    print('\\x1b[2J')\n    raise ValueError('\\x1b[2J')\n")
    done = run("test", str(function))
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[2J" in done.stdout


def test_an_event_that_is_none_is_told(run: Run, function: Path, tmp_path: Path) -> None:
    for text, reason in (
        ("[]", "holds no event"),
        ("{", "is no JSON"),
        ('{"type": "x"}', "no type of event"),
    ):
        (tmp_path / "e.json").write_text(text)
        done = run("test", str(function), "--event", "e.json")
        assert (done.returncode, reason in done.stderr) == (2, True)


# --- Manifest and settings


def test_the_manifest_gives_name_settings_and_limits(run: Run, daemon: ServedCore, function: Path) -> None:
    (function.parent / "function.toml").write_text(
        'name = "orders"\ntimeout_ms = 100\nmemory_mib = 64\n[settings]\nprefix = "a"\nkey = "b"\n'
    )
    (function.parent / "key.txt").write_text("secret\n")
    done = run("deploy", "function.py", "--set", "key=@key.txt", "--set", "n=5", "--timeout-ms", "200")
    assert done.returncode == 0, done.stderr
    assert daemon.core.arguments["name"] == "orders"
    assert daemon.core.arguments["settings"] == {"prefix": "a", "key": "secret", "n": 5}
    assert daemon.core.arguments["limits"] == {"timeout_ms": 200, "memory_mib": 64}
    assert "created orders, version 1" in done.stdout
    assert "on_track" in done.stdout


def test_a_block_in_the_code_is_a_manifest_too(run: Run, daemon: ServedCore, function: Path) -> None:
    block = '# /// engine\n# name = "billing"\n#\n# [settings]\n# prefix = "x"\n# ///\n'
    function.write_text(block + GOOD)
    assert run("deploy", "function.py", "--set", "key=-", stdin="from stdin\n").returncode == 0
    assert daemon.core.arguments["name"] == "billing"
    assert daemon.core.arguments["settings"] == {"prefix": "x", "key": "from stdin"}


def test_two_manifests_are_one_too_many(run: Run, function: Path) -> None:
    function.write_text('# /// engine\n# name = "billing"\n# ///\n' + GOOD)
    (function.parent / "function.toml").write_text('name = "orders"\n')
    done = run("deploy", "function.py")
    assert done.returncode == 78
    assert "keep one of them" in done.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = 5", "name is text, not 5"),
        ("settings = 5", "settings is a table"),
        ('timeout_ms = "5"', "timeout_ms is a whole number"),
        ("timeout = 5", "timeout is no key"),
        ("name = ", "is no TOML"),
    ],
)
def test_a_wrong_manifest_is_told_with_status_78(run: Run, function: Path, text: str, reason: str) -> None:
    (function.parent / "function.toml").write_text(text)
    done = run("deploy", "function.py")
    assert done.returncode == 78
    assert reason in done.stderr
    assert "function.toml" in done.stderr


def test_a_settings_file_may_be_json_or_toml(run: Run, daemon: ServedCore, function: Path) -> None:
    for name, text in (("s.json", '{"a": [1]}'), ("s.toml", "a = [1]")):
        (function.parent / name).write_text(text)
        assert run("deploy", "function.py", "--name", "orders", "--settings", name).returncode == 0
        assert daemon.core.arguments["settings"] == {"a": [1]}


def test_a_refused_deploy_shows_line_caret_and_remedy(run: Run, daemon: ServedCore, function: Path) -> None:
    assert daemon.path.exists()
    function.write_text("refuse")
    done = run("deploy", "function.py", "--name", "orders")
    assert done.returncode == 1
    assert "function.py:2:5 import: os can't be imported" in done.stderr
    assert "  → use settings" in done.stderr
    lines = done.stderr.splitlines()
    at = next(at for at, line in enumerate(lines) if line.strip() == "^")
    assert lines[at - 1][lines[at].index("^")] == "o"
    shown = json.loads(run("deploy", "function.py", "--name", "orders", "--json").stdout)
    assert (shown["ok"], shown["diagnostics"][0]["line"]) == (False, 2)


# --- submit


def test_an_object_an_array_and_lines_are_all_events(run: Run, daemon: ServedCore, tmp_path: Path) -> None:
    texts = {
        "object": json.dumps(TRACK, indent=2),
        "array": json.dumps([TRACK, TRACK], indent=2),
        "lines": f"\n{json.dumps(TRACK)}\n\n{json.dumps(TRACK)}",
        "bom": "\ufeff" + json.dumps(TRACK),
        "empty array": " [ ] ",
        "empty": "",
    }
    counts = []
    for text in texts.values():
        (tmp_path / "events").write_text(text)
        done = run("submit", "orders", "events", "--json")
        assert done.returncode == 0, done.stderr
        counts.append(json.loads(done.stdout)["accepted"])
    assert counts == [1, 2, 2, 1, 0, 0]
    assert len(daemon.core.submitted) == 4


def test_standard_input_is_taken_as_a_file(run: Run, daemon: ServedCore) -> None:
    assert daemon.path.exists()
    text = f"{json.dumps(TRACK)}\n" * 250
    assert "accepted 250 events" in run("submit", "orders", "-", stdin=text).stdout
    assert "accepted 250 events" in run("submit", "orders", stdin=text).stdout


def test_waiting_prints_one_object_with_the_documented_fields(run: Run, daemon: ServedCore) -> None:
    assert daemon.path.exists()
    done = run("submit", "orders", "--wait", "--json", stdin=json.dumps([TRACK, {"type": "page"}]))
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert list(result) == [
        "accepted",
        "delivered",
        "discarded",
        "retrying",
        "dead",
        "duplicates",
        "by_code",
        "elapsed_ms",
    ]
    assert (result["accepted"], result["by_code"]) == (2, {"delivered": 1, "bad_request": 1})


def test_waiting_shows_the_first_error_of_each_code(run: Run, daemon: ServedCore) -> None:
    assert daemon.path.exists()
    done = run("submit", "orders", "--wait", stdin=json.dumps([TRACK, {"type": "page"}]))
    assert "first bad_request at line 3: ValueError: no" in done.stdout


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (
            f"{json.dumps(TRACK)}\n\nnonsense\n[]\n",
            ["line 3: it is no JSON", "line 4: an event is an object"],
        ),
        ('{"type": "purchase"}\n', ["line 1: 'purchase' is no type of event"]),
        ('{"event": "x"}\n', ["line 1: 'None' is no type"]),
        ('{"type": "track", "a": NaN}\n', ["line 1: it is no JSON"]),
        (json.dumps({**TRACK, "a": "x" * 40_000}), ["33792 are allowed"]),
        ('[\n{"type": "track"},\n{"type": "track"},\n5]', ["line 4: an event is an object"]),
        ('[\n{"type": "track"}\n{"type": "track"}]', ["line 3: it is no JSON array"]),
        ('[{"type": "track"}', ["line 1: it is no JSON array"]),
        ('[{"type": "track"}] tail', ["no JSON array: Extra data"]),
        ("[" * 100_000, ["no JSON array"]),
        ('{"type": "track",\n "a": }\n', ["line 1: it is no JSON", "line 2: it is no JSON"]),
    ],
)
def test_what_is_no_event_is_told_with_its_line_and_nothing_is_sent(
    run: Run, daemon: ServedCore, text: str, reasons: list[str]
) -> None:
    done = run("submit", "orders", stdin=text)
    assert done.returncode == 2
    for reason in reasons:
        assert reason in done.stderr
    assert "nothing was submitted" in done.stderr
    assert daemon.core.submitted == []


def test_text_that_is_not_utf_8_is_told_with_its_line(run: Run, daemon: ServedCore) -> None:
    done = run("submit", "orders", stdin=json.dumps(TRACK).encode() + b'\n{"type": "\xff\xfe"}\n')
    assert done.returncode == 2
    assert "line 2: it is no JSON" in done.stderr
    assert daemon.core.submitted == []


def test_skipping_sends_the_others_and_counts_what_was_skipped(run: Run, daemon: ServedCore) -> None:
    text = f"{json.dumps(TRACK)}\nnonsense\n{json.dumps(TRACK)}\n"
    done = run("submit", "orders", "--skip-invalid", stdin=text)
    assert done.returncode == 0
    assert "accepted 2 events" in done.stdout
    assert "skipped 1" in done.stdout
    assert "line 2" in done.stdout
    assert sum(len(events.sizes) for events in daemon.core.submitted) == 2


def test_an_absent_destination_or_file_is_told(run: Run, daemon: ServedCore) -> None:
    assert daemon.path.exists()
    for text in (json.dumps(TRACK), ""):
        done = run("submit", "nowhere", stdin=text)
        assert (done.returncode, "no destination named 'nowhere'" in done.stderr) == (2, True)
    done = run("submit", "orders", "none.json")
    assert (done.returncode, "none.json can't be read" in done.stderr) == (2, True)


def test_integers_and_surrogates_that_msgpack_lacks_are_sent_all_the_same(
    run: Run, daemon: ServedCore
) -> None:
    done = run(
        "submit", "orders", stdin='{"type": "track", "n": 123456789012345678901234567890, "s": "\\ud800"}'
    )
    assert done.returncode == 0, done.stderr
    assert "\ufffd".encode() in daemon.core.submitted[0].bodies


def test_a_terminal_sees_a_progress_bar(daemon: ServedCore, tmp_path: Path) -> None:
    (tmp_path / "events").write_text(json.dumps([TRACK] * 300))
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "submit", "orders", str(tmp_path / "events")],
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env={**os.environ, "ENGINE_SOCKET": str(daemon.path)},
    )
    os.close(slave)
    seen = b""
    try:
        while data := os.read(master, 4096):
            seen += data
    except OSError:  # a terminal ends so
        pass
    os.close(master)
    assert process.wait(10) == 0
    assert b"100%" in seen


# --- Looking


def test_looking_prints_tables_for_people_and_json_for_programs(run: Run, daemon: ServedCore) -> None:
    assert daemon.path.exists()
    assert run("list").stdout.splitlines()[1].startswith("d0")
    assert json.loads(run("list", "--json").stdout)[2] == {"name": "d2"}
    assert json.loads(run("show", "orders", "--json").stdout) == {"name": "orders", "version": 1}
    assert "version  1" in run("show", "orders").stdout
    assert json.loads(run("workers", "--json").stdout) == []
    daemon.call(daemon.core.blocked.set)
    assert json.loads(run("stats", "--json").stdout) == {"uptime_s": 1.0}


def test_removing_with_events_waiting_wants_discard(run: Run, daemon: ServedCore) -> None:
    assert daemon.path.exists()
    done = run("remove", "orders")
    assert done.returncode == 2
    assert "3 events wait" in done.stderr
    assert run("remove", "orders", "--discard").returncode == 0


def test_an_absent_destination_is_status_2(run: Run, daemon: ServedCore) -> None:
    assert daemon.path.exists()
    for command in ("show", "logs"):
        done = run(command, "nowhere")
        assert done.returncode == 2
        assert "no destination named 'nowhere'" in done.stderr


# --- serve


def test_wrong_settings_of_the_daemon_are_told_with_status_78(run: Run, tmp_path: Path) -> None:
    (tmp_path / "engine.toml").write_text("timeout_ms = 5\nspare = 3\n")
    done = run("serve", "--config", "engine.toml")
    assert done.returncode == 78
    assert "timeout_ms is a whole number from 50" in done.stderr
    assert "did you mean spares" in done.stderr
    done = run("serve", "--data-dir", "/proc/nowhere")
    assert done.returncode == 78
    assert "data directory" in done.stderr
    done = run("serve", "--data-dir", str(tmp_path / "data"), "--socket", "/" + "x" * 120)
    assert done.returncode == 78
    assert "107 bytes" in done.stderr


def test_trying_it_out_needs_one_command_and_its_next_steps_work(run: Run, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "in-use.sock")
    process = spawn(
        [sys.executable, "-m", "engine", "serve", "--dev", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ENGINE_SOCKET": elsewhere},
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["socket"] != elsewhere
        environment = {"ENGINE_SOCKET": ready["socket"]}
        assert run("init", "hello").returncode == 0
        assert run("deploy", "hello/function.py", **environment).returncode == 0
        done = run("submit", "hello", "hello/events/track.json", "--wait", "--json", **environment)
        assert (done.returncode, json.loads(done.stdout)["delivered"]) == (0, 1)
        second = run("serve", "--data-dir", ready["data_dir"])
        assert second.returncode == 69
        assert f"pid {process.pid}" in second.stderr
        assert "hello" in run("list", **environment).stdout
    finally:
        process.terminate()
        assert process.wait(20) == 0
        assert process.stdout is not None
        process.stdout.close()
    assert not Path(ready["data_dir"]).exists()

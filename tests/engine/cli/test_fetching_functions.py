"""`engine test` of functions that fetch: what went out is shown, answers are recorded and replayed, warnings are given."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, TypeAlias

import pytest
from upstreams import Server, reply

from engine.cli import mocks
from engine.egress.supervise import read_mocks
from engine.errors import UsageError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from command_line import CommandLine

Run: TypeAlias = "Callable[..., subprocess.CompletedProcess[str]]"

SOURCE = """
async def on_track(event, settings):
    answer = await fetch(settings.url, "POST", json={"key": settings.key})
    return answer.text
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def run(command_line: CommandLine, tmp_path: Path) -> Run:
    def engine_test(*arguments: str) -> subprocess.CompletedProcess[str]:
        typed = ("test", "function.py", "--sample", "track", *arguments)
        return command_line.run(*typed, folder=tmp_path, environment=os.environ)

    return engine_test


def write(folder: Path, url: str) -> None:
    (folder / "function.py").write_text(SOURCE)
    (folder / "settings.json").write_text(json.dumps({"url": url, "key": "a-secret-key"}))


def test_requests_are_shown_recorded_and_replayed_without_the_api(
    run: Run, tmp_path: Path, server: Server
) -> None:
    server.answers["/record"] = reply(
        b'{"id": 7}', "201 Created", "Content-Type: application/json", "Date: today"
    )
    write(tmp_path, server.url("/record"))
    place = f"127.0.0.1:{server.port}"
    shown = run("--settings", "settings.json", "--allow", place, "--record", "mocks.json")
    assert shown.returncode == 0, shown.stderr
    assert f"→ POST http://{place}[secret]  201" in shown.stdout
    assert '{"key":"[secret]"}' in shown.stdout
    assert "a-secret-key" not in shown.stdout
    (mock,) = json.loads((tmp_path / "mocks.json").read_text())
    assert (mock["method"], mock["status"], mock["text"]) == ("POST", 201, '{"id": 7}')
    assert mock["headers"] == {"Content-Type": "application/json"}
    before = len(server.requests)
    replayed = run("--settings", "settings.json", "--mock", "mocks.json", "--json")
    result = json.loads(replayed.stdout)
    assert result["result"] == repr('{"id": 7}')
    assert result["requests"][0]["status"] == 201
    assert len(server.requests) == before


def test_without_a_mock_nothing_is_called(run: Run, tmp_path: Path, server: Server) -> None:
    write(tmp_path, server.url("/never"))
    (tmp_path / "mocks.json").write_text("[]")
    before = len(server.requests)
    done = run("--settings", "settings.json", "--mock", "mocks.json")
    assert done.returncode == 1
    assert "no mock answers POST" in done.stderr
    assert len(server.requests) == before


def test_answers_that_nothing_looked_at_are_warned_of(run: Run, tmp_path: Path) -> None:
    write(tmp_path, "https://api.example.com/")
    answers = [
        {"url": f"https://api.example.com/{status}", "status": status} for status in (200, 302, 404, 503)
    ]
    (tmp_path / "mocks.json").write_text(json.dumps(answers))
    source = """
def on_track(event):
    for status in (200, 302, 404, 503):
        answer = fetch(f"https://api.example.com/{status}")
        answer.text
    return LOOK
"""
    (tmp_path / "function.py").write_text(source.replace("LOOK", "None"))
    lines = [line for line in run("--mock", "mocks.json").stdout.splitlines() if "warn" in line]
    assert len(lines) == 3
    assert "302, a redirect that was not followed" in lines[0]
    assert "404, and nothing looked at it" in lines[1]
    assert "503, and nothing looked at it" in lines[2]
    (tmp_path / "function.py").write_text(
        source.replace("answer.text", "answer.status").replace("LOOK", "None")
    )
    assert "warn" not in run("--mock", "mocks.json").stdout


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "can't be read"), ("{", "is no JSON"), ("{}", "holds no array"), ('[{"status": 200}]', "mock 1"),
     ('[{"url": "https://a/", "nonsense": 1}]', "nonsense is unknown"), ('[{"url": "https://a/", "status": "x"}]', "mock 1"),
     ('[{"url": "/a"}]', "no absolute URL"), ('[{"url": "https://a/", "json": 1, "text": "x"}]', "only one of"),
     ('[{"url": "https://a/", "error": "x"}]', "error is one of")],
)  # fmt: skip
def test_a_file_of_mocks_that_is_none_is_refused(tmp_path: Path, content: str | None, text: str) -> None:
    path = tmp_path / "mocks.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=text):
        read_mocks(mocks.read(path))


def test_a_refusal_names_the_flag(run: Run, tmp_path: Path, server: Server) -> None:
    write(tmp_path, server.url("/x"))
    done = run("--settings", "settings.json")
    assert done.returncode == 1
    assert f"--allow 127.0.0.1:{server.port}" in done.stderr

"""The pytest plugin for functions, used as its users do; and what it says when a test is wrong, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Deploy = Callable[..., Any]

URL = "https://api.example.com/track"
EVENT = {"type": "track", "event": "Signed Up", "userId": "u", "messageId": "m"}
SOURCE = """
import datetime, random, time, uuid
from engine.function import RetryError, console

seen = []

async def on_track(event, settings):
    seen.append(event["event"])
    console.log("sending", len(seen))
    answer = await fetch(settings.url, "POST", json={"name": event["event"]}, headers={"Authorization": settings.key})
    if answer.status >= 500:
        raise RetryError("busy")
    return answer.json()

def on_identify(event):
    today = datetime.date.today()
    assert isinstance(datetime.datetime.now(), datetime.date) and datetime.datetime.now().date() == today
    return [datetime.datetime.now(datetime.UTC).isoformat(), time.time(), random.random(), str(uuid.uuid4())]

def on_batch(events, settings):
    answer = fetch(settings.url, "POST", json=[event["event"] for event in events])
    return [{"status": 200}, {"status": answer.status}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "function.py"
    path.write_text(SOURCE)
    return path


def test_a_function_meets_mocks_and_shows_what_it_sent(deploy: Deploy, file: Path) -> None:
    fn = deploy(file, settings={"url": URL, "key": "secret-key"})
    fn.mock("POST", URL, status=503)
    result = fn.send(EVENT)
    assert not result.ok
    assert (result.error.code, result.error.message, result.error.type) == ("retry", "busy", "RetryError")
    (request,) = result.requests
    assert (request.method, request.url, request.status, request.json) == (
        "POST",
        URL,
        503,
        {"name": "Signed Up"},
    )
    assert request.headers["authorization"] == "secret-key"
    assert result.logs == ["sending 1"]
    fn.mock("POST", URL, json={"id": 7})
    result = fn.send(EVENT)
    assert result.ok
    assert result.result == "{'id': 7}"
    assert result.logs == ["sending 2"]


def test_a_mock_can_fail_a_fetch(deploy: Deploy, file: Path) -> None:
    fn = deploy(file, settings={"url": URL, "key": "k"})
    for error, kind, code in (
        ("timeout", "FetchTimeout", "retry"),
        ("refused", "AddressRefused", "bad_request"),
    ):
        fn.mock("*", "https://api.example.com/*", error=error)
        result = fn.send(EVENT)
        assert (result.error.type, result.error.code) == (kind, code)


def test_a_batch(deploy: Deploy, file: Path) -> None:
    fn = deploy(file, settings={"url": URL, "key": "k"})
    fn.mock("POST", URL, status=400)
    first, second = fn.send_batch([EVENT, EVENT])
    assert first.ok
    assert second.error.code == "bad_request"
    assert first.requests[0].json == ["Signed Up", "Signed Up"]


def test_time_and_randomness_can_be_fixed(deploy: Deploy, file: Path) -> None:
    identify = {"type": "identify", "userId": "u", "messageId": "m"}
    results = [deploy(file, now="2026-01-02T03:04:05Z", seed=7).send(identify).result for _ in range(2)]
    assert results[0] == results[1]
    assert results[0].startswith("['2026-01-02T03:04:05+00:00', 1767323045.0, ")
    assert deploy(file, now="2026-01-02T03:04:05Z", seed=8).send(identify).result != results[0]


def test_a_mock_that_can_not_be_is_refused(deploy: Deploy, file: Path) -> None:
    fn = deploy(file, settings={"url": URL, "key": "k"})
    with pytest.raises(UsageError, match="no absolute URL"):
        fn.mock("GET", "not-a-url")


def run_pytest(folder: Path, test: str) -> str:
    (folder / "function.py").write_text(SOURCE)
    (folder / "test_it.py").write_text(textwrap.dedent(test))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "test_it.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=50).stdout


def test_what_a_wrong_test_is_told(tmp_path: Path) -> None:
    said = run_pytest(
        tmp_path,
        f"""
        def test_unmocked(deploy):
            fn = deploy("function.py", settings={{"url": "{URL}", "key": "k"}})
            fn.send({EVENT!r})

        def test_refused(deploy, tmp_path):
            (tmp_path / "bad.py").write_text("import os\\n")
            deploy(tmp_path / "bad.py")
        """,
    )
    assert f"nobody mocked POST {URL}" in said
    assert "line 1: the module os is not available" in said
    assert "2 failed" in said


def test_time_stands_still_for_libraries_too(deploy: Deploy, tmp_path: Path) -> None:
    path = tmp_path / "libraries.py"
    path.write_text(
        "import jwt, pydash\nfrom cryptography.fernet import Fernet\nfrom whenever import Instant\n"
        "def on_track(event):\n"
        "    token = jwt.encode({'exp': 1767225600 + 60}, 'k' * 32)\n"
        "    box = Fernet(Fernet.generate_key())\n"
        "    return [str(Instant.now()), pydash.now(), jwt.decode(token, 'k' * 32, algorithms=['HS256']),"
        " box.extract_timestamp(box.encrypt(b'x'))]\n"
    )
    result = deploy(path, now="2026-01-01T00:00:00Z").send(EVENT)
    assert result.error is None
    assert result.result == "['2026-01-01T00:00:00Z', 1767225600000, {'exp': 1767225660}, 1767225600]"

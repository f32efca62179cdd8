from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import structlog

from engine import log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def fail(secret: str) -> None:
    raise ValueError(len(secret))


def test_text_from_outside_can_not_forge_a_line_and_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(log_format="text", level="info")
    structlog.get_logger().info("refused", name="a\nb\x1b[2J", long="é" * 5_000)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert r"a\nb\x1b[2J" in captured.err
    assert captured.err.count("é") == log.TEXT_CHARS_MAX


def test_json_is_one_object_a_line_with_the_traceback_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(log_format="json", level="info")
    try:
        fail("s" + "3cret")
    except ValueError:
        structlog.get_logger().exception("failed", destination="orders")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["destination"]) == ("failed", "error", "orders")
    assert "ValueError: 6" in entry["exception"]


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(log_format="text", level="info")
    try:
        fail("s" + "3cret")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "s3cret" not in capsys.readouterr().err


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(log_format="text", level="error")
    structlog.get_logger().warning("hidden")
    assert capsys.readouterr().err == ""

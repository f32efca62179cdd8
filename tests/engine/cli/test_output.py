"""What commands print of an attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli import output

if TYPE_CHECKING:
    import pytest

ATTEMPT = {
    "at": "2026-11-24T18:00:00.000+00:00",
    "delivery": "7.3",
    "event_type": "track",
    "attempt": 2,
    "code": "retry",
    "error": {"type": "RetryError", "message": "no\x1b[2J", "line": 5},
    "logs": [{"level": "info", "message": "seen"}],
    "requests": [
        {
            "method": "POST",
            "url": "https://a.example/x",
            "status": 503,
            "error": None,
            "message": "",
            "total_ms": 12.5,
        },
        {
            "method": "GET",
            "url": "https://b.example/",
            "status": None,
            "error": "timeout",
            "message": "silent",
            "total_ms": 900.0,
        },
    ],
}


def test_an_attempt_is_told_with_its_place_its_requests_and_its_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.attempt(ATTEMPT)
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-24T18:00:00.000+00:00 7.3 track #2 retry line 5 RetryError: no\\x1b[2J",
        "  POST https://a.example/x → 503 in 12.5 ms",
        "  GET https://b.example/ → timeout: silent in 900.0 ms",
        "  info  seen",
    ]


def test_who_missed_attempts_is_told_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    output.attempt({**ATTEMPT, "missed": 12, "requests": [], "logs": []})
    assert capsys.readouterr().out.startswith("… 12 attempts were missed")

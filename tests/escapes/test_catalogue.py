"""What the families hold together."""

from __future__ import annotations

import importlib
from pathlib import Path

FAMILIES = sorted(
    path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != "test_catalogue"
)
ATTEMPTS = [(family, attempt) for family in FAMILIES for attempt in importlib.import_module(family).ATTEMPTS]
ADVISORIES = (
    "CVE-2023-37271",
    "CVE-2023-41039",
    "CVE-2024-47532",
    "CVE-2025-22153",
    "CVE-2026-55830",
    "CVE-2026-76825",
)


def test_there_are_many_and_no_two_are_the_same() -> None:
    assert len(FAMILIES) >= 13
    assert len({attempt.source for _, attempt in ATTEMPTS}) == len(ATTEMPTS) >= 300
    assert len({(family, attempt.name) for family, attempt in ATTEMPTS}) == len(ATTEMPTS)


def test_every_advisory_of_restrictedpython_has_its_attempts() -> None:
    for advisory in ADVISORIES:
        assert any(advisory in attempt.name for _, attempt in ATTEMPTS), advisory

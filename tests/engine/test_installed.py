"""Libraries for functions that the engine finds, or doesn't."""

from __future__ import annotations

import pytest

from engine import installed
from engine.errors import ConfigurationError
from sandbox.wire import LIBRARIES


def test_what_the_project_is_tested_with_is_all_there() -> None:
    assert installed.present() == tuple(LIBRARIES)
    installed.require(LIBRARIES)


def test_what_is_missing_is_named_with_the_library_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name == "defusedxml" else object())
    assert "xmltodict" not in installed.present()
    installed.require(["jwt"])
    with pytest.raises(ConfigurationError, match="xmltodict needs defusedxml") as caught:
        installed.require(["jwt", "xmltodict"])
    assert "libraries]" in caught.value.remedy

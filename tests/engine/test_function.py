"""`engine.function`: what an author imports for the editor and for plain pytest, beside what the sandbox offers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, get_type_hints

import pytest

from engine import function
from sandbox import modules
from sandbox.runtime import errors

if TYPE_CHECKING:
    from pathlib import Path


def test_the_sandbox_offers_every_name() -> None:
    assert set(modules.INJECTED) | set(modules.FUNCTION_TYPES) == set(function.__all__)


@pytest.mark.parametrize(
    "name", [name for name in function.__all__ if name.endswith(("Error", "Event", "Supported", "Payload"))]
)
def test_errors_carry_the_sandboxs_codes(name: str) -> None:
    here = getattr(function, name)
    if isinstance(here, type) and issubclass(here, Exception):
        assert here.code == getattr(errors, name).code


def test_an_event_has_the_keys_of_all_types() -> None:
    types = [getattr(function, name) for name in modules.FUNCTION_TYPES if name.endswith("Event")]
    assert len(types) == 8
    assert set().union(*(get_type_hints(kind) for kind in types)) == set(get_type_hints(function.Event))


def test_settings_are_read_only_and_name_what_is_missing() -> None:
    settings = function.Settings(apiKey="k")
    assert (settings.apiKey, settings["apiKey"], settings.get("x", 1), "apiKey" in settings) == (
        "k",
        "k",
        1,
        True,
    )
    with pytest.raises(function.InvalidSettings, match="'token' is missing"):
        _ = settings.token
    with pytest.raises(TypeError, match="read-only"):
        settings.apiKey = "other"


def test_cache_keeps_until_deleted_or_expired() -> None:
    made = iter(range(9))
    load = function.Cache().load
    assert [load("a", lambda: next(made)), load("a", -1, lambda: next(made))] == [0, 0]
    assert [load("b", 0, lambda: next(made)), load("b", 0, lambda: next(made))] == [1, 2]

    async def make() -> int:
        return next(made)

    cache = function.Cache()
    assert asyncio.run(cache.load("c", make)) == 3
    cache.delete("c")
    assert asyncio.run(cache.load("c", 60_000, make)) == 4


def test_fetch_says_that_it_works_in_the_engine_only() -> None:
    with pytest.raises(function.NoEgressError, match="inside the engine only"):
        function.fetch("https://example.com")


def test_the_console_prints(capsys: pytest.CaptureFixture[str]) -> None:
    function.console.warn("a", 1)
    assert capsys.readouterr().out == "a 1\n"


def test_an_authors_function_satisfies_mypy_and_needs_no_sandbox(tmp_path: Path) -> None:
    source = tmp_path / "my_function.py"
    source.write_text(
        "from engine.function import Event, RetryError, Settings, TrackEvent, cache, console, fetch\n"
        "async def on_track(event: TrackEvent, settings: Settings) -> None:\n"
        "    res = await fetch('https://x', method='POST', json={'name': event['event'], 'key': settings.apiKey})\n"
        "    if res.status >= 500:\n"
        "        raise RetryError(f'HTTP {res.status}', after_ms=1_000)\n"
        "    console.log(event['properties'].get('total'))\n"
        "def on_batch(events: list[Event], settings: Settings) -> list[dict[str, int]]:\n"
        "    limit: int = cache.load('limit', 60_000, lambda: 3)\n"
        "    return [{'status': 200 if event['type'] == 'track' and event['properties'] else limit} for event in events]\n"
    )
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(source)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert checked.returncode == 0, checked.stdout
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import my_function, sys; print([m for m in sys.modules if m.startswith('sandbox')])",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert loaded.stdout == "[]\n"

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from engine.clock import ManualClock
from engine.errors import ConfigurationError
from engine.model import Limits
from engine.registry.store import Registry
from sandbox.wire import Handler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model import Destination

HANDLERS = (Handler("on_track", "track", True, True, 3), Handler("onPage", "page", False, False, 9))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def registry(tmp_path: Path, clock: ManualClock) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "registry.db", clock=clock)
    yield opened
    opened.close()


def deploy(registry: Registry, name: str = "crm", **changes: Any) -> Destination:
    values: dict[str, Any] = {
        "source": "def on_track(event): pass",
        "filename": "crm.py",
        "handlers": HANDLERS,
        "code": b"\x00code",
        "policy_key": "p1",
        "settings": b"\x80",
        "limits": Limits(timeout_ms=700),
    }
    return registry.deploy(name, **(values | changes))


def test_a_first_deploy_makes_a_destination_with_version_1(registry: Registry, clock: ManualClock) -> None:
    made = deploy(registry)
    assert (made.name, made.settings, made.limits) == ("crm", b"\x80", Limits(timeout_ms=700))
    assert (made.created_ms, made.deployed_ms) == (clock.now_ms(), clock.now_ms())
    version = made.version
    assert (version.number, version.source, version.filename) == (1, "def on_track(event): pass", "crm.py")
    assert (version.handlers, version.code, version.policy_key) == (HANDLERS, b"\x00code", "p1")
    assert registry.destination("crm") == made


def test_everything_survives_a_restart(registry: Registry, tmp_path: Path, clock: ManualClock) -> None:
    made = [deploy(registry, "zeta"), deploy(registry, "alpha")]
    registry.close()
    again = Registry.open(tmp_path / "registry.db", clock=clock)
    assert again.destinations() == made[::-1]
    again.close()


def test_another_source_is_another_version_and_the_earlier_stays(
    registry: Registry, clock: ManualClock
) -> None:
    first = deploy(registry)
    clock.advance_ms(5)
    second = deploy(registry, source="x = 1", settings=b"\x81\xa1k\xa1v", limits=Limits(memory_mib=64))
    assert (second.id, second.version.number, second.created_ms) == (first.id, 2, first.created_ms)
    assert second.deployed_ms == first.deployed_ms + 5
    assert (second.settings, second.limits) == (b"\x81\xa1k\xa1v", Limits(memory_mib=64))
    assert registry.versions("crm") == [first.version, second.version]


def test_the_same_source_again_is_a_new_deploy_of_the_same_version(
    registry: Registry, clock: ManualClock
) -> None:
    first = deploy(registry)
    clock.advance_ms(5)
    again = deploy(registry, settings=b"\x81\xa1k\xa1w", code=b"newer", policy_key="p2")
    assert (again.version.number, again.version.code, again.version.policy_key) == (1, b"newer", "p2")
    assert (again.settings, again.deployed_ms) == (b"\x81\xa1k\xa1w", first.deployed_ms + 5)
    assert again.version.created_ms == first.version.created_ms
    assert len(registry.versions("crm")) == 1


def test_code_compiled_under_another_policy_replaces_that_versions_code_alone(registry: Registry) -> None:
    first = deploy(registry)
    second = deploy(registry, source="x = 1")
    replaced = registry.replace_code(first.version, b"recompiled", "p9")
    assert (replaced.code, replaced.policy_key, replaced.source) == (
        b"recompiled",
        "p9",
        first.version.source,
    )
    assert registry.versions("crm") == [replaced, second.version]


def test_ids_of_removed_destinations_are_never_used_again(registry: Registry) -> None:
    removed = deploy(registry)
    registry.remove("crm")
    assert registry.destination("crm") is None
    assert registry.destinations() == []
    assert registry.versions("crm") == []
    again = deploy(registry)
    assert again.id > removed.id
    assert again.version.number == 1
    assert again.version.function_id > removed.version.function_id


def test_a_deploy_that_fails_half_way_changes_nothing(registry: Registry) -> None:
    first = deploy(registry)
    with pytest.raises(apsw.ConstraintError):
        deploy(registry, source="x = 1", settings=None)
    assert registry.destinations() == [first]
    assert registry.versions("crm") == [first.version]


def test_who_deployed_a_version_is_kept(registry: Registry, tmp_path: Path) -> None:
    deploy(registry, author="uid 1000")
    deploy(registry, source="x = 1")
    registry.close()
    db = apsw.Connection(str(tmp_path / "registry.db"))
    assert db.execute("SELECT author FROM version ORDER BY number").fetchall() == [("uid 1000",), ("",)]
    db.close()


def test_the_file_is_readable_by_its_owner_alone(registry: Registry, tmp_path: Path) -> None:
    deploy(registry)
    files = sorted(tmp_path.iterdir())
    assert "registry.db" in {file.name for file in files}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_files_that_cannot_be_the_registry_are_refused_with_a_remedy(
    tmp_path: Path, clock: ManualClock
) -> None:
    newer = tmp_path / "newer.db"
    Registry.open(newer, clock=clock).close()
    db = apsw.Connection(str(newer))
    db.execute("PRAGMA user_version = 99")
    db.close()
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    for path, reason in (
        (newer, "newer engine"),
        (text, "no registry"),
        (tmp_path / "missing" / "registry.db", "can't be opened"),
    ):
        with pytest.raises(ConfigurationError, match=reason) as refused:
            Registry.open(path, clock=clock)
        assert "--data-dir" in refused.value.remedy

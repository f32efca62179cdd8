"""What the registry's file keeps, and what it never changes."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.errors import ConfigurationError
from engine.model import Code, Limits, Setting
from engine.registry import store
from engine.registry.audit import CALLER, Caller
from engine.registry.secrets import Keyring
from engine.registry.store import Registry
from sandbox.wire import Handler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model import Destination, FunctionVersion

HANDLERS = (Handler("on_track", "track", True, True, 3), Handler("onPage", "page", False, False, 9))
SOURCE = "def on_track(event): pass"
SCHEMA = (Setting("apiKey", "API Key", sensitive=True), Setting("region", "Region"))
SECRET = "a secret of the shop"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    return Keyring.load(tmp_path / "secret.key")


@pytest.fixture
def registry(tmp_path: Path, clock: ManualClock, keys: Keyring) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "registry.db", clock=clock, keys=keys)
    yield opened
    opened.close()


def save(registry: Registry, name: str = "crm", source: str = SOURCE, **changes: Any) -> FunctionVersion:
    schema = changes.pop("schema", None)
    values: dict[str, Any] = {
        "handlers": HANDLERS,
        "code": b"\x00code",
        "policy_key": "p1",
        "author": "",
        "about": {},
    }
    return registry.functions.save(name, Code(source, "crm.py", schema), **(values | changes))


def create(registry: Registry, name: str = "crm", **changes: Any) -> Destination:
    version = save(registry, schema=changes.pop("schema", SCHEMA))
    function = registry.functions.get("crm")
    assert function is not None
    values: dict[str, Any] = {"chosen": {"timeout_ms": 700}, "values": {}, "detail": {}}
    return registry.destinations.create(name, function, version, **(values | changes))


def test_a_destination_is_what_it_was_made_with(registry: Registry, clock: ManualClock) -> None:
    registry.sources.create("web", 10)
    made = create(registry, values={"region": "eu"}, filter_text='type = "track"', sources=["web"])
    assert (made.name, made.function, made.limits) == ("crm", "crm", Limits(timeout_ms=700))
    assert (made.created_ms, made.deployed_ms) == (clock.now_ms(), clock.now_ms())
    assert (made.is_pinned, made.is_enabled, made.sources) == (False, True, ("web",))
    assert made.filter_text == 'type = "track"'
    assert made.filter
    version = made.version
    assert (version.number, version.source, version.filename) == (1, SOURCE, "crm.py")
    assert (version.handlers, version.code, version.policy_key) == (HANDLERS, b"\x00code", "p1")
    assert version.schema == SCHEMA
    assert registry.destinations.get("crm") == made


def test_everything_survives_a_restart(
    registry: Registry, tmp_path: Path, clock: ManualClock, keys: Keyring
) -> None:
    made = [create(registry, "zeta", values={"apiKey": SECRET}), create(registry, "alpha")]
    registry.close()
    again = Registry.open(tmp_path / "registry.db", clock=clock, keys=keys)
    assert again.destinations.all() == made[::-1]
    assert again.destinations.open_values(made[0]) == {"apiKey": SECRET}
    again.close()


# --- Versions


def test_another_source_is_another_version_and_the_same_is_the_same(registry: Registry) -> None:
    first = save(registry)
    assert save(registry, code=b"newer", policy_key="p2") == replace(first, code=b"newer", policy_key="p2")
    second = save(registry, source="x = 1")
    third = save(registry, source="x = 1", schema=SCHEMA)
    assert [item.number for item in registry.functions.versions(first.function_id)] == [1, 2, 3]
    assert (second.source, third.schema) == ("x = 1", SCHEMA)


@given(
    st.lists(st.tuples(st.sampled_from(["crm", "ads"]), st.sampled_from("abc"), st.booleans()), max_size=12)
)
def test_versions_never_change_whatever_is_saved(saves: list[tuple[str, str, bool]]) -> None:
    db = apsw.Connection(":memory:")
    registry = in_memory(db)
    model: dict[str, list[tuple[str, bool]]] = {}
    for name, source, has_schema in saves:
        kept = model.setdefault(name, [])
        if not kept or kept[-1] != (source, has_schema):
            kept.append((source, has_schema))
        saved = save(registry, name, source, schema=SCHEMA if has_schema else None)
        assert saved.number == len(kept)
        for other, versions in model.items():
            function = registry.functions.get(other)
            assert function is not None
            stored = registry.functions.versions(function.id)
            assert [(item.number, item.source, item.schema is not None) for item in stored] == [
                (number, *content) for number, content in enumerate(versions, 1)
            ]
    db.close()


def in_memory(db: apsw.Connection) -> Registry:
    db.execute(Path(store.__file__).with_name("schema.sql").read_text("utf-8"))
    return Registry(db, ManualClock(), Keyring([bytes(32)], path=None))


def test_the_file_itself_refuses_to_change_a_version_or_the_audit(registry: Registry, tmp_path: Path) -> None:
    save(registry)
    db = apsw.Connection(str(tmp_path / "registry.db"))
    for change in (
        "UPDATE version SET source = 'x'",
        "UPDATE version SET number = 7",
        "UPDATE audit SET who = 'x'",
        "DELETE FROM audit",
    ):
        with pytest.raises(apsw.ConstraintError):
            db.execute(change)
    db.close()


def test_code_compiled_under_another_policy_replaces_that_versions_code_alone(registry: Registry) -> None:
    first = save(registry)
    second = save(registry, source="x = 1")
    replaced = registry.functions.replace_code(first, b"recompiled", "p9")
    assert (replaced.code, replaced.policy_key, replaced.source) == (b"recompiled", "p9", first.source)
    assert registry.functions.versions(first.function_id) == [replaced, second]


def test_ids_of_removed_destinations_are_never_used_again_and_the_function_stays(registry: Registry) -> None:
    removed = create(registry)
    registry.destinations.remove("crm")
    assert registry.destinations.all() == []
    again = create(registry)
    assert again.id > removed.id
    assert again.version == removed.version


def test_a_change_that_fails_half_way_changes_nothing(registry: Registry) -> None:
    first = create(registry)

    def change() -> None:
        with registry.transaction():
            save(registry, source="x = 1")
            create(registry)

    with pytest.raises(apsw.ConstraintError):
        change()
    assert registry.destinations.all() == [first]
    assert registry.functions.versions(first.version.function_id) == [first.version]


# --- Secrets


def test_what_may_be_secret_is_sealed_in_memory_and_in_the_file(registry: Registry, tmp_path: Path) -> None:
    made = create(registry, values={"apiKey": SECRET, "region": "eu"})
    assert {value.name: value.is_sealed for value in made.values} == {"apiKey": True, "region": False}
    free = create(registry, "free", schema=None, values={"anything": SECRET})
    assert [value.is_sealed for value in free.values] == [True]
    assert SECRET not in repr(made) + repr(free)
    registry.close()
    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes()


def test_a_worker_gets_the_settings_that_its_version_knows(registry: Registry) -> None:
    made = create(registry, values={"apiKey": SECRET, "older": "x"})
    assert msgpack.unpackb(registry.destinations.open_settings(made)) == {"apiKey": SECRET}
    assert registry.destinations.open_values(made) == {"apiKey": SECRET, "older": "x"}


def test_a_version_that_calls_a_setting_sensitive_seals_it(registry: Registry) -> None:
    made = create(registry, schema=(Setting("apiKey", "API Key"),), values={"apiKey": SECRET})
    assert registry.destinations.harmless_values(made) == {"apiKey": SECRET}
    moved = registry.destinations.move(made, save(registry, schema=SCHEMA), is_pinned=False)
    assert registry.destinations.harmless_values(moved) == {}
    assert registry.destinations.open_values(moved) == {"apiKey": SECRET}


def test_everything_is_sealed_anew_under_a_new_key(registry: Registry, keys: Keyring) -> None:
    made = create(registry, values={"apiKey": SECRET, "region": "eu"})
    keys.add_key()
    assert registry.destinations.reseal() == 1
    keys.drop_old_keys()
    again = registry.destinations.get("crm")
    assert again is not None
    assert registry.destinations.open_values(again) == {"apiKey": SECRET, "region": "eu"}
    with pytest.raises(ConfigurationError, match="which is not in"):
        registry.destinations.open_values(made)


# --- Sources


def test_a_source_has_write_keys_that_are_changed_over(registry: Registry) -> None:
    registry.sources.create("web", 10)
    source = registry.sources.get("web")
    assert source is not None
    (first,) = source.write_keys
    second = registry.sources.add_key(source)
    registry.sources.remove_key(source, first)
    again = registry.sources.get("web")
    assert again is not None
    assert again.write_keys == (second,) != (first,)
    assert len(second) == 32


def test_a_removed_source_leaves_its_destinations(registry: Registry) -> None:
    registry.sources.create("web", 10)
    create(registry, sources=["web"])
    source = registry.sources.get("web")
    assert source is not None
    assert source.destinations == ("crm",)
    registry.sources.remove(source)
    left = registry.destinations.get("crm")
    assert left is not None
    assert left.sources == ()


# --- Audit


def test_the_audit_says_who_did_what_and_no_secret(registry: Registry, clock: ManualClock) -> None:
    token = CALLER.set(Caller("uid 1000", "pid 7 on the socket"))
    made = create(registry, values={"apiKey": SECRET}, detail={"version": 1})
    CALLER.reset(token)
    clock.advance_ms(5)
    for _ in range(3):
        registry.destinations.open_settings(made)
    entries = list(registry.audit.entries())
    assert [(entry["action"], entry["who"]) for entry in entries] == [
        ("function.create", "uid 1000"),
        ("function.save", "uid 1000"),
        ("destination.create", "uid 1000"),
        ("secret.open", "engine"),
    ]
    assert entries[2]["detail"] == {"version": 1}
    assert entries[3]["detail"] == {"purpose": "worker", "count": 3}
    assert SECRET not in repr(entries)
    assert list(registry.audit.entries(since_ms=clock.now_ms())) == entries[3:]
    assert list(registry.audit.entries(until_ms=clock.now_ms())) == entries[:3]


# --- Usage


def test_usage_adds_up_by_day_and_outlives_the_destination(registry: Registry, clock: ManualClock) -> None:
    made = create(registry)
    registry.usage.add(made, invocations=2, events=40, busy_us=1_500.7)
    registry.usage.flush()
    registry.usage.add(made, invocations=1, events=1, busy_us=100)
    registry.usage.add(made, fetches=7, sent_bytes=700, received_bytes=70)
    registry.destinations.remove("crm")
    first = {
        "function": "crm", "destination": "crm", "invocations": 3, "events": 41, "busy_us": 1_600,
        "fetches": 7, "sent_bytes": 700, "received_bytes": 70,
    }  # fmt: skip
    first_ms, day_ms = clock.now_ms(), 86_400_000
    assert [{**row, "day": ""} for row in registry.usage.rows()] == [{**first, "day": ""}]
    clock.advance_ms(2 * day_ms)
    registry.usage.add(made, invocations=5, events=5, busy_us=5)
    rows = registry.usage.rows()
    assert [row["invocations"] for row in rows] == [5, 3]
    assert registry.usage.rows(since_ms=clock.now_ms()) == rows[:1]
    assert registry.usage.rows(until_ms=first_ms) == rows[1:]
    clock.advance_ms(400 * day_ms)
    registry.usage.add(made, invocations=1, events=1, busy_us=1)
    assert [row["invocations"] for row in registry.usage.rows()] == [1, 5]


# --- The file


def test_the_file_is_readable_by_its_owner_alone(registry: Registry, tmp_path: Path) -> None:
    create(registry)
    files = sorted(tmp_path.iterdir())
    assert "registry.db" in {file.name for file in files}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_files_that_cannot_be_the_registry_are_refused_with_a_remedy(
    tmp_path: Path, clock: ManualClock, keys: Keyring
) -> None:
    newer = tmp_path / "newer.db"
    Registry.open(newer, clock=clock, keys=keys).close()
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
            Registry.open(path, clock=clock, keys=keys)
        assert "--data-dir" in refused.value.remedy

"""Tokens: shown once, kept as a hash, ended by time or by hand."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from engine.clock import ManualClock
from engine.errors import Conflict, UsageError
from engine.registry import tokens as module
from engine.registry.secrets import Keyring
from engine.registry.store import Registry
from engine.registry.tokens import digest_of
from engine.roles import Grants

if TYPE_CHECKING:
    from pathlib import Path

READ = Grants.parse(["functions-read-only=shop", "payloads"])


def opened(folder: Path, clock: ManualClock) -> Registry:
    return Registry.open(folder / "registry.db", clock=clock, keys=Keyring.load(folder / "key", ""))


def test_a_token_is_256_random_bits_shown_once_and_kept_as_its_sha_256(tmp_path: Path) -> None:
    clock = ManualClock()
    registry = opened(tmp_path, clock)
    made, text = registry.tokens.create("ci", READ, None)
    others = {registry.tokens.create(f"t{number}", READ, None)[1] for number in range(10)}
    assert len({text, *others}) == 11
    assert text.startswith("engine_")
    assert len(text.removeprefix("engine_")) == 43  # base64 of 32 bytes
    assert digest_of(text) == hashlib.sha256(text.encode()).digest()
    assert registry.tokens.find(digest_of(text)) == made
    registry.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert digest_of(text) in kept
    assert text.encode() not in kept
    again = opened(tmp_path, clock)
    assert again.tokens.find(digest_of(text)) == made
    assert made.grants.texts == ("functions-read-only=shop", "payloads")
    again.close()


def test_a_token_ends_with_its_time_and_is_listed_all_the_same(tmp_path: Path) -> None:
    clock = ManualClock()
    registry = opened(tmp_path, clock)
    _, text = registry.tokens.create("ci", READ, clock.now_ms() + 1_000)
    clock.advance_ms(999)
    assert registry.tokens.find(digest_of(text)) is not None
    clock.advance_ms(1)
    assert registry.tokens.find(digest_of(text)) is None
    assert [token.name for token in registry.tokens.all()] == ["ci"]
    with pytest.raises(UsageError, match="expired already"):
        registry.tokens.create("late", READ, clock.now_ms())
    registry.close()


def test_a_removed_token_is_unknown_at_once_and_its_name_is_free(tmp_path: Path) -> None:
    registry = opened(tmp_path, ManualClock())
    first, text = registry.tokens.create("ci", READ, None)
    with pytest.raises(Conflict, match="'ci'"):
        registry.tokens.create("ci", READ, None)
    registry.tokens.remove(first)
    assert registry.tokens.find(digest_of(text)) is None
    second, _ = registry.tokens.create("ci", READ, None)
    assert second.id > first.id  # the audit tells them apart
    audited = [(entry["action"], entry["detail"]["number"]) for entry in registry.audit.entries()]
    assert audited == [("token.create", first.id), ("token.remove", first.id), ("token.create", second.id)]
    registry.close()


def test_when_a_token_was_last_used_survives_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    registry = opened(tmp_path, clock)
    _, text = registry.tokens.create("ci", READ, None)
    clock.advance_ms(5_000)
    registry.tokens.use(digest_of(text))
    registry.tokens.use(digest_of("unknown"))
    registry.close()
    again = opened(tmp_path, clock)
    assert again.tokens.all()[0].used_ms == clock.now_ms()
    again.close()


def test_tokens_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS_MAX", 1)
    registry = opened(tmp_path, ManualClock())
    registry.tokens.create("a", READ, None)
    with pytest.raises(Conflict, match="there are 1 tokens"):
        registry.tokens.create("b", READ, None)
    registry.close()

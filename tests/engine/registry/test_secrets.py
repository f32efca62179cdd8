"""Sealed values, and the keys that open them."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import pytest

from engine.errors import ConfigurationError, Conflict
from engine.registry.secrets import KEY_BYTES, Keyring

if TYPE_CHECKING:
    from pathlib import Path

SECRET = b"a secret of the shop"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret.key"


def test_a_sealed_value_opens_and_does_not_show_what_it_holds(path: Path) -> None:
    ring = Keyring.load(path)
    sealed = ring.seal(7, "apiKey", SECRET)
    assert SECRET not in sealed
    assert ring.seal(7, "apiKey", SECRET) != sealed
    assert Keyring.load(path).open(7, "apiKey", sealed) == SECRET


def test_the_key_is_made_once_for_its_user_alone(path: Path) -> None:
    first = Keyring.load(path)
    assert first.is_new
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Keyring.load(path)
    assert not again.is_new
    assert again.current_id == first.current_id
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("place", [(8, "apiKey"), (7, "other")])
def test_a_value_opens_only_where_it_was_sealed_for(path: Path, place: tuple[int, str]) -> None:
    ring = Keyring.load(path)
    with pytest.raises(ConfigurationError, match="belongs elsewhere"):
        ring.open(*place, ring.seal(7, "apiKey", SECRET))


@pytest.mark.parametrize("at", [8, 20, -1])
def test_a_changed_value_does_not_open(path: Path, at: int) -> None:
    ring = Keyring.load(path)
    sealed = bytearray(ring.seal(7, "apiKey", SECRET))
    sealed[at] ^= 1
    with pytest.raises(ConfigurationError, match="was changed"):
        ring.open(7, "apiKey", bytes(sealed))


@pytest.mark.parametrize("length", [0, 7, 8, 20, 30])
def test_a_cut_value_does_not_open(path: Path, length: int) -> None:
    ring = Keyring.load(path)
    with pytest.raises(ConfigurationError):
        ring.open(7, "apiKey", ring.seal(7, "apiKey", SECRET)[:length])


def test_another_key_is_told_by_its_id_with_the_remedy(path: Path, tmp_path: Path) -> None:
    ring = Keyring.load(path)
    sealed = ring.seal(7, "apiKey", SECRET)
    with pytest.raises(ConfigurationError) as caught:
        Keyring.load(tmp_path / "other.key").open(7, "apiKey", sealed)
    assert ring.current_id in caught.value.message
    assert "put that key back" in caught.value.remedy


def test_a_rotation_opens_the_old_and_seals_under_the_new_until_the_old_key_is_dropped(path: Path) -> None:
    ring = Keyring.load(path)
    old = ring.seal(7, "apiKey", SECRET)
    new_id = ring.add_key()
    assert ring.needs_resealing(old)
    again = Keyring.load(path)  # as after a crash right here
    assert again.ids == ring.ids == [new_id, ring.ids[1]]
    new = again.seal(7, "apiKey", again.open(7, "apiKey", old))
    assert not again.needs_resealing(new)
    again.drop_old_keys()
    assert Keyring.load(path).open(7, "apiKey", new) == SECRET
    with pytest.raises(ConfigurationError, match="which is not in"):
        again.open(7, "apiKey", old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_may_come_from_the_environment_the_first_seals(path: Path) -> None:
    one, two = (base64.b64encode(bytes([number]) * KEY_BYTES).decode() for number in (1, 2))
    old = Keyring.load(path, one)
    sealed = old.seal(7, "apiKey", SECRET)
    both = Keyring.load(path, f"{two},{one}")
    assert both.open(7, "apiKey", sealed) == SECRET
    assert both.needs_resealing(sealed)
    assert not path.exists()
    with pytest.raises(Conflict, match="ENGINE_SECRET_KEYS"):
        both.add_key()


@pytest.mark.parametrize("text", ["", "short", "!" * 44, base64.b64encode(bytes(31)).decode()])
def test_what_is_no_key_is_refused_without_showing_it(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        Keyring.load(path)
    assert not text or text not in str(caught.value)
    assert caught.value.remedy


def test_a_key_that_others_may_read_is_refused(path: Path) -> None:
    Keyring.load(path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may read"):
        Keyring.load(path)

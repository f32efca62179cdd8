from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from engine.config import Config, check_limits, load, settings_table
from engine.errors import ConfigurationError, UsageError
from engine.model import Limits

if TYPE_CHECKING:
    from pathlib import Path


def test_without_anything_the_defaults_hold() -> None:
    config = load(None, {}, {"ENGINE_DATA_DIR": "/data"})
    assert (config.data_dir, config.socket) == ("/data", "/data/engine.sock")
    assert config.limits == Limits()


def test_the_default_data_directory_is_in_the_home_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert load(None, {}, {}).data_dir == "/home/ada/.local/state/engine"
    assert load(None, {"data_dir": "~/engine"}, {}).socket == "/home/ada/engine/engine.sock"


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text("spares = 1\nworkers_max = 11\nframe_ms = 21\n")
    config = load(file, {"spares": 3, "frame_ms": None}, {"ENGINE_SPARES": "2", "ENGINE_WORKERS_MAX": "12"})
    assert (config.spares, config.workers_max, config.frame_ms) == (3, 12, 21)


def test_a_flag_of_zero_is_a_value(tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text("drain_timeout_s = 5\n")
    assert load(file, {"drain_timeout_s": 0}, {}).drain_timeout_s == 0


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text(
        'spare = 1\ntimeout_ms = 10\nlog_format = "xml"\nspares = true\nallow_degraded = "perhaps"\n'
    )
    with pytest.raises(ConfigurationError) as refused:
        load(file, {}, {"ENGINE_FRAME_MS": "soon"})
    message = refused.value.message
    for part in (
        "spare is no setting; did you mean spares?",
        "timeout_ms is a whole number from 50 to 900000, not 10",
        "log_format is one of text, json, not 'xml'",
        "spares is a whole number from 1 to 64, not True",
        "allow_degraded is true or false, not 'perhaps'",
        "frame_ms is a whole number from 1 to 1000, not 'soon'",
    ):
        assert part in message


def test_pauses_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="retry_first_ms"):
        load(None, {"retry_first_ms": 5_000, "retry_cap_ms": 1_000}, {})


@pytest.mark.parametrize("text", ["660", "0660", "0o660"])
def test_the_socket_s_mode_is_octal_in_the_environment(text: str) -> None:
    assert load(None, {}, {"ENGINE_SOCKET_MODE": text}).socket_mode == 0o660


@pytest.mark.parametrize("value", ["nowhere", ":80", 8080])
def test_an_address_is_host_and_port(value: object) -> None:
    assert load(None, {"http": "[::1]:0"}, {}).http == "[::1]:0"
    with pytest.raises(ConfigurationError, match="http"):
        load(None, {"http": value}, {})


def test_a_mode_out_of_bounds_is_shown_in_octal() -> None:
    with pytest.raises(ConfigurationError, match="from 0o600 to 0o777, not 0o200"):
        load(None, {"socket_mode": 0o200}, {})


def test_an_empty_variable_is_none() -> None:
    assert load(None, {}, {"ENGINE_SPARES": ""}).spares == Config().spares


def test_a_file_that_can_not_be_read_or_parsed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml can't be read"):
        load(tmp_path / "none.toml", {}, {})
    (tmp_path / "bad.toml").write_text("spares = \n")
    with pytest.raises(ConfigurationError, match=r"is no TOML: .*line 1"):
        load(tmp_path / "bad.toml", {}, {})


def test_a_destination_s_limits_stand_over_the_daemon_s() -> None:
    limits = check_limits({"timeout_ms": 100}, Limits(memory_mib=64))
    assert (limits.timeout_ms, limits.memory_mib) == (100, 64)


def test_every_wrong_limit_is_told() -> None:
    with pytest.raises(UsageError) as refused:
        check_limits({"timeout_ms": 49, "memory_mib": "x", "speed": 3}, Limits())
    assert "timeout_ms is a whole number from 50 to 900000, not 49" in refused.value.message
    assert "memory_mib" in refused.value.message
    assert "speed is no limit" in refused.value.message


@pytest.mark.parametrize("name", [item.name for item in fields(Config) if "low" in item.metadata])
def test_every_number_is_within_its_own_bounds_and_refused_beyond(name: str) -> None:
    item = next(item for item in fields(Config) if item.name == name)
    assert item.metadata["low"] <= item.default <= item.metadata["high"]
    for value in (item.metadata["low"] - 1, item.metadata["high"] + 1):
        with pytest.raises(ConfigurationError, match=name):
            load(None, {name: value}, {})


def test_the_table_names_every_setting_with_its_meaning() -> None:
    rows = settings_table()
    assert [row[0] for row in rows] == [item.name for item in fields(Config)]
    assert all(row[4] for row in rows)
    by_name = {row[0]: row for row in rows}
    assert by_name["timeout_ms"][1:3] == ("5000", "50 to 900000")

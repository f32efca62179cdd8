"""`engine doctor`: needs no daemon, shows every layer, and says what to change where one doesn't hold."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from engine.errors import Unavailable
from engine.workers import layers

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    ["root", "holding", "looking at /proc", "ENOENT", "mounts"],
    ["seccomp", "holding", "open", "EPERM", "a kernel"],
    ["seccomp", "broken", "socket", "it works", "a kernel"],
    ["landlock", "absent", "setting it up", "the kernel has none", "a newer kernel"],
]


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_it_prints_every_layer_with_what_was_tried_and_answered() -> None:
    shown = json.loads(doctor("--json").stdout)
    assert {"namespaces", "root", "landlock", "seccomp", "limits", "no_new_privs"} <= {
        layer["layer"] for layer in shown["layers"]
    }
    assert shown["ok"] == all(layer["state"] == "holding" for layer in shown["layers"])
    for layer in shown["layers"]:
        assert layer["attempts"]
        assert bool(layer["remedy"]) == (layer["state"] != "holding")


def test_a_layer_that_cant_be_set_up_is_named_with_its_remedy(tmp_path: Path) -> None:
    config = tmp_path / "engine.toml"
    config.write_text(f'cgroups = "{tmp_path}/none"\n')
    answer = doctor("--config", str(config))
    assert answer.returncode == 1
    assert "cgroup  broken" in answer.stdout
    assert "→ name cgroup directories" in answer.stdout


def test_a_daemon_refuses_to_serve_naming_the_layer(tmp_path: Path) -> None:
    config = tmp_path / "engine.toml"
    config.write_text(f'cgroups = "{tmp_path}/none"\n')
    answer = subprocess.run(
        [sys.executable, "-m", "engine", "serve", "--data-dir", str(tmp_path), "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert answer.returncode == 69
    assert "the jail's layer cgroup doesn't hold" in answer.stderr


def test_a_layers_state_is_its_worst_and_what_holds_needs_no_remedy() -> None:
    assert [
        (item["layer"], item["state"], item["remedy"]) for item in layers.by_layer(layers.read(ROWS))
    ] == [
        ("root", "holding", ""),
        ("seccomp", "broken", "a kernel"),
        ("landlock", "absent", "a newer kernel"),
    ]


def test_what_works_and_must_not_is_required_not_to() -> None:
    with pytest.raises(Unavailable, match="layer seccomp doesn't hold: socket answered: it works"):
        layers.require(layers.read(ROWS))
    layers.require(layers.read([row for row in ROWS if row[1] != "broken"]))


@pytest.mark.parametrize(
    "rows", [[], [["root", "holding", "x", "y"]], [["root", "fine", "x", "y", "z"]], [[1, 2, 3, 4, 5]]]
)
def test_a_report_that_cant_be_read_is_no_proof(rows: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        layers.read(rows)

"""What tests share: a real daemon on a temporary directory, and its client."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from jailed import Room
from running import Daemon

from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.client import Client


HERE: Final = Path(__file__).parent
LONG_FIRST: Final = (
    "test_as_nobody.py",
    "gateway_clients",
    "faults",
    "system",
    "captured",
    "escapes",
    "snippets",
)
"""Of this folder. Modules are divided among processes as they come: one that takes a minute mustn't come last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that take long come before those that don't."""

    def rank(item: pytest.Item) -> int:
        top = item.path.relative_to(HERE).parts[0]
        return LONG_FIRST.index(top) if top in LONG_FIRST else len(LONG_FIRST)

    items.sort(key=rank)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    daemon.start()
    yield daemon
    status = daemon.stop()
    assert status == 0, daemon.log.read_text()[-2000:]


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as client:
        yield client


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that the test may kill."""
    daemon = Daemon(tmp_path)
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.stop()


@pytest.fixture
def engine(daemon: Daemon) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line, against the daemon."""

    def run(*arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "engine", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
            env={**os.environ, "ENGINE_SOCKET": str(daemon.socket), **env},
        )

    return run


@pytest.fixture(scope="session")
def room() -> Iterator[Room]:
    """The full jail without the language layer, with all libraries; see `jailed.py`."""
    libraries = [f"--library={name}" for name in LIBRARIES]
    with Room("--degraded", *libraries, "--load-libraries") as room:
        yield room

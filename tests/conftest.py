"""What tests share: a real daemon on a temporary directory, and its client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from command_line import CommandLine
from jailed import Room
from running import Daemon
from xdist.scheduler import LoadScopeScheduling

from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from engine.client import Client


HERE: Final = Path(__file__).parent
LONG_FIRST: Final = (
    "gateway_clients",
    "faults",
    "system",
    "captured",
    "escapes",
    "snippets",
)
"""Of this folder. Modules are divided among processes as they come: one that takes a minute mustn't come last."""
TOGETHER: Final = ("tests/escapes/", "tests/engine/gateway/")
"""Their modules share what costs seconds to start, so that one process runs all of a folder."""


class Divided(LoadScopeScheduling):
    """A process is given a module at a time, or a folder that is `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        return next(filter(nodeid.startswith, TOGETHER), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Divided:
    return Divided(config, log)


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


@pytest.fixture(scope="session")
def command_line() -> Iterator[CommandLine]:
    with CommandLine() as command_line:
        yield command_line


@pytest.fixture
def engine(daemon: Daemon, command_line: CommandLine) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line, against the daemon."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "ENGINE_SOCKET": str(daemon.socket), **environment}
        return command_line.run(*arguments, folder=Path.cwd(), environment=environment, stdin=stdin.encode())

    return run


@pytest.fixture(scope="session")
def room() -> Iterator[Room]:
    """The full jail without the language layer, with all libraries; see `jailed.py`."""
    libraries = [f"--library={name}" for name in LIBRARIES]
    with Room("--degraded", *libraries, "--load-libraries") as room:
        yield room

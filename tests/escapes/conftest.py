"""The three ways of `attempts`, shared by all families: one daemon, one room, one process of controls a family."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attempts import CANARY, PROBES, SHOW, SHOWN, Attempt
from running import Daemon
from tied import spawn

from engine.errors import FunctionRefused
from sandbox.wire import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jailed import Room

    from engine.client import Client


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "attempt" in metafunc.fixturenames:
        metafunc.parametrize("attempt", metafunc.module.ATTEMPTS, ids=str)


@dataclass(frozen=True, slots=True)
class Prizes:
    """What is there to be won."""

    file: Path
    port: int
    victim: subprocess.Popen[bytes]

    def put_into(self, source: str) -> str:
        values = {"FILE": self.file, "FOLDER": self.file.parent, "PORT": self.port, "PID": self.victim.pid}
        for name, value in values.items():
            source = source.replace(f"@{name}@", str(value))
        return source


@pytest.fixture(scope="session")
def prizes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prizes]:
    file = tmp_path_factory.mktemp("prizes") / "canary"
    file.write_text(CANARY, "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        victim = spawn(["sleep", "600"])
        yield Prizes(file, server.getsockname()[1], victim)
        victim.kill()
        victim.wait()


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a daemon that has the canary in its environment, and allows every library."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    os.environ["CANARY"] = CANARY
    config = daemon.folder / "engine.toml"
    config.write_text(f"libraries = {json.dumps(list(LIBRARIES))}\n")
    daemon.start("--config", str(config))
    del os.environ["CANARY"]
    with daemon.client() as client:
        yield client
    daemon.stop()


@pytest.fixture(scope="session")
def unjailed() -> Iterator[subprocess.Popen[str]]:
    """The process whose forks run controls."""
    process = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).parent / "unjailed.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"CANARY": CANARY},
        text=True,
    )
    with process:
        yield process
        process.kill()


@pytest.fixture
def as_plain_python(unjailed: subprocess.Popen[str], prizes: Prizes) -> Callable[[Attempt], str]:
    """What an attempt shows without engine and jail."""

    def run(attempt: Attempt) -> str:
        sources = [attempt.as_function(), *([attempt.as_witness()] if attempt.witness else [])]
        assert unjailed.stdin is not None
        assert unjailed.stdout is not None
        request = [prizes.put_into(attempt.as_plain(*sources)), attempt.patience_s]
        unjailed.stdin.write(json.dumps(request) + "\n")
        unjailed.stdin.flush()
        return str(json.loads(unjailed.stdout.readline()))

    return run


@pytest.fixture
def as_function(trials: Client, prizes: Prizes) -> Callable[[Attempt], str]:
    """What an attempt shows as a function of the daemon; nothing, if it is refused."""

    def run(attempt: Attempt) -> str:
        shown = ""
        for source in [attempt.as_function(), *([attempt.as_witness()] if attempt.witness else [])]:
            with contextlib.suppress(FunctionRefused):
                results = trials.test(
                    prizes.put_into(source),
                    [{"type": "track", "event": "E", "userId": "u", "n": n} for n in range(attempt.events)],
                    settings={"apiKey": "of this event"},
                    limits={"timeout_ms": attempt.timeout_ms, "memory_mib": attempt.memory_mib},
                )
                if attempt.ends_as:
                    assert (results[-1].error or {}).get("code") == attempt.ends_as
                shown = " ".join([str(results[-1].result), *(line["message"] for line in results[-1].logs)])
        return shown

    return run


@pytest.fixture
def in_the_jail(room: Room, prizes: Prizes) -> Callable[[Attempt], tuple[str, str]]:
    """What an attempt shows in a jailed worker, and what was reached behind it."""

    def run(attempt: Attempt) -> tuple[str, str]:
        shown = reached = ""
        for source in [attempt.as_function(), *([attempt.as_witness()] if attempt.witness else [])]:
            probes = PROBES if attempt.jailed == "useless" else ""
            ending = room.run(
                prizes.put_into(attempt.as_plain(source) + SHOW + probes),
                timeout_s=attempt.patience_s,
                memory_mib=attempt.memory_mib,
            )
            shown, _, reached = ending.printed.partition(SHOWN)
            if ending.death == "deadline":
                shown += " still running"
        return shown, reached

    return run

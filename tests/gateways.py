"""Gateways and daemons with HTTP, for tests."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgpack
import psutil
from running import Daemon, wait_until
from tied import spawn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.client import Client


class HttpDaemon(Daemon):
    """`engine serve --http`, on a port that the system chose and that it keeps over restarts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.http = "127.0.0.1:0"

    def start(self, *arguments: str, **options: Any) -> None:
        before = len(self._lines())
        super().start("--http", self.http, "--json", *arguments, **options)
        wait_until(lambda: len(self._lines()) > before, 40)
        self.http = json.loads(self._lines()[-1])["http"]

    def _lines(self) -> list[str]:
        text = self.log.read_text() if self.log.exists() else ""
        return [line for line in text.splitlines() if line.startswith('{"socket"')]

    @property
    def url(self) -> str:
        return f"http://{self.http}"

    def gateway(self) -> psutil.Process:
        """The process that serves HTTP."""
        assert self.process is not None
        [process] = [
            child for child in psutil.Process(self.process.pid).children() if "gateway" in child.cmdline()
        ]
        return process


def ask(
    address: str, method: str, path: str, body: bytes | str = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], Any]:
    """One request on a connection of its own: status, headers, the JSON of the answer."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        text = answer.read()
        return (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            json.loads(text or b"null"),
        )
    finally:
        connection.close()


def is_ready(address: str) -> bool:
    """Whether events are taken there."""
    with contextlib.suppress(OSError):
        return ask(address, "GET", "/readyz")[0] == 200
    return False


def basic(key: str) -> dict[str, str]:
    """The header by which libraries send a write key."""
    return {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


class SentFrom:
    """A source, its write key, and what the daemon has of it."""

    def __init__(self, daemon: HttpDaemon, client: Client, name: str) -> None:
        self.daemon, self.client, self.name = daemon, client, name
        self.key: str = client.sources.create(name, samples_kept=100)["write_keys"][0]
        wait_until(lambda: self.post("/v1/track", {})[0] != 401)

    def post(
        self, path: str, document: Any, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        """Send a document (bytes as they are) with the write key in a header."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return ask(self.daemon.http, "POST", path, body, {**basic(self.key), **(headers or {})})

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What has arrived of it, of up to 100 of each type."""
        return [msgpack.unpackb(body) for body in self.client.sources.samples(self.name, kind)]


class OwnGateway:
    """`engine gateway` by itself."""

    def __init__(self, folder: Path, socket: Path, http: str = "127.0.0.1:0", *arguments: str) -> None:
        self._log = (folder / f"gateway-{os.urandom(4).hex()}.log").open("ab")
        self.process = spawn(
            [
                sys.executable,
                "-m",
                "engine",
                "gateway",
                "--http",
                http,
                "--socket",
                str(socket),
                "--json",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self.process.stdout is not None
        self.http = json.loads(self.process.stdout.readline())["http"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return status

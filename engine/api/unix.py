"""The Unix socket: listening, and who is connected."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING, Final

from engine.api.connection import CONNECTIONS_MAX, Connection
from engine.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from engine.api.auth import People
    from engine.dispatch.core import Core

PATH_BYTES_MAX: Final = 107
"""What the kernel takes (`sun_path`), its final zero left out."""
PROBE_TIMEOUT_S: Final = 1.0


def _unusable(path: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the socket {path} can't be made: {error.strerror}", remedy="choose another place with --socket"
    )


class UnixServer:
    """Owner of the listening socket."""

    def __init__(self, core: Core, people: People, path: Path, mode: int) -> None:
        self._core = core
        self._people = people
        self.connections: set[Connection] = set()
        self._path = path
        self._mode = mode
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises `ConfigurationError` for a path that can't be used, `Unavailable` if somebody answers on it."""
        path = str(self._path)
        if len(os.fsencode(path)) > PATH_BYTES_MAX:
            raise ConfigurationError(
                f"the socket's path {path} is longer than {PATH_BYTES_MAX} bytes",
                remedy="choose a shorter one with --socket",
            )
        try:
            self._remove_stale()
        except OSError as error:
            raise _unusable(path, error) from None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        except OSError as error:
            listener.close()
            raise _unusable(path, error) from None
        finally:
            os.umask(before)
        os.chmod(path, self._mode)  # noqa: PTH101  the path as it was bound
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(self._core, self._people, self.connections),
            sock=listener,
            backlog=CONNECTIONS_MAX,
        )

    def _remove_stale(self) -> None:
        """Remove a socket that nobody answers on."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise ConfigurationError(
                    f"{self._path} exists and is no socket", remedy="choose another place with --socket"
                )
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(PROBE_TIMEOUT_S)
                try:
                    probe.connect(str(self._path))
                except ConnectionRefusedError:
                    self._path.unlink()
                    return
                except TimeoutError:
                    pass  # its queue is full: somebody is there, and busy
            raise Unavailable(
                f"another daemon answers on {self._path}", remedy="stop it, or choose another --socket"
            )

    def stop_listening(self) -> None:
        """Take no new connections."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in list(self.connections):
            connection.close()

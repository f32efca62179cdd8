"""An API to call, as a process: `/now` answers at once, `/later` after 50 ms, `/flaky` now and then with 503."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY_S = 0.05
FLAKY_EVERY = 40
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
_BUSY += b'{"error": "busy"}'


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Its base URL, while it runs."""
    command = [sys.executable, "-m", "benchmarks.upstream"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


class Api(asyncio.Protocol):
    """One connection; requests are answered in order."""

    flaky = 0
    """Requests of `/flaky`, on all connections."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, and says it isn't

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, end + 2)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < stop:
                return
            line, self._received = self._received[: self._received.find(b"\r\n")], self._received[stop:]
            if b" /later" in line:
                asyncio.get_running_loop().call_later(DELAY_S, self._answer, _OK)
            elif b" /flaky" in line:
                Api.flaky += 1
                self._answer(_OK if Api.flaky % FLAKY_EVERY else _BUSY)
            else:
                self._answer(_OK)

    def _answer(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Api, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())

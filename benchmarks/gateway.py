"""`gateway`: events over HTTP until they are durable, in batches of 100 and one a request, to a destination that runs meanwhile.

The load comes from a process of its own (`python -m benchmarks.gateway ADDRESS KEY SIZE REQUESTS`): raw sockets, requests made beforehand.
"""

from __future__ import annotations

import base64
import json
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from benchmarks.harness import REFERENCE_SETTINGS, REFERENCE_SOURCE, daemon, http_address, reference_events
from benchmarks.suite.program import FLOOR, Conditions, Measure, Program

CONNECTIONS: Final = {100: 8, 1: 32}
REQUESTS: Final = {100: 1_000, 1: 20_000}
ANSWER: Final = b'{"success":true}'


def run(conditions: Conditions) -> dict[str, float]:
    """Events a second and the gateway's processor time an event, by size of the requests."""
    seen: dict[str, float] = {}
    for size, count in REQUESTS.items():
        rate, cost_us = _run(size, conditions.pick(count, 20))
        seen |= {f"gateway_{size}": rate, f"gateway_{size}_cpu": cost_us}
    return seen


def _run(size: int, requests: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder:
        log = Path(folder) / "log"
        with daemon("--http", "127.0.0.1:0", "--json", log=log) as (client, process):
            key = client.sources.create("web")["write_keys"][0]
            settings = REFERENCE_SETTINGS
            client.deploy("reference", REFERENCE_SOURCE, settings=settings, sources=["web"])
            address = http_address(log)
            [gateway] = [
                child for child in psutil.Process(process.pid).children() if "gateway" in child.cmdline()
            ]
            _load(address, key, size, max(requests // 5, 1))
            before = sum(gateway.cpu_times()[:2])
            rate = _load(address, key, size, requests)
            spent_s = sum(gateway.cpu_times()[:2]) - before
            return rate, spent_s / (requests * size) * 1e6


def _load(address: str, key: str, size: int, requests: int) -> float:
    command = [sys.executable, "-m", "benchmarks.gateway", address, key, str(size), str(requests)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the load ended: {done.stderr[-500:]}")
    return requests * size / float(done.stdout)


def _requests(key: str, size: int, count: int) -> list[bytes]:
    credentials = base64.b64encode(f"{key}:".encode()).decode()
    path = "track" if size == 1 else "batch"
    head = (
        f"POST /v1/{path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
        f"Authorization: Basic {credentials}\r\nContent-Length: "
    ).encode()
    made = []
    for _ in range(count):
        events = reference_events(size)
        body = json.dumps(events[0] if size == 1 else {"batch": events}).encode()
        made.append(b"%b%d\r\n\r\n%b" % (head, len(body), body))
    return made


def main() -> None:
    """Send it all, one request at a time on each connection; print the seconds that it took."""
    address, key, size, count = sys.argv[1:]
    host, _, port = address.rpartition(":")
    waiting = _requests(key, int(size), int(count))
    selector = selectors.DefaultSelector()
    begun = time.perf_counter()
    for _ in range(min(CONNECTIONS[int(size)], len(waiting))):
        connection = socket.create_connection((host, int(port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(waiting.pop())
    while selector.get_map():
        for ready, _ in selector.select(30):
            connection = ready.fileobj  # type: ignore[assignment] # sockets are what was registered
            answer = connection.recv(4096)
            while answer.startswith(b"HTTP/1.1 200 ") and not answer.endswith(ANSWER):
                answer += connection.recv(4096)
            if not answer.endswith(ANSWER):
                raise RuntimeError(f"answered {answer[:200]!r}")
            if waiting:
                connection.sendall(waiting.pop())
            else:
                selector.unregister(connection)
    print(time.perf_counter() - begun)


PROGRAM: Final = Program(
    tuple(
        measure
        for size in REQUESTS
        for measure in (
            Measure(f"gateway_{size}", "events/s", baseline=FLOOR),
            Measure(f"gateway_{size}_cpu", "us/event", "less"),
        )
    ),
    run,
    warm_up="a fifth of the requests, in the same daemon",
)

if __name__ == "__main__":
    main()

"""Strangers' bytes on both entrances of a real daemon: nothing of it is an error of ours, a crash, or memory that is kept.

    python tests/faults/fuzz.py --cases 100000 --seed 1

Half of the cases are requests to the tracking API, half are frames on the socket, all drawn by Hypothesis from the seed
that is printed. Exit status 1 if one was answered with a 5xx or `internal_error`, was not answered, or if a process
ended, or grew.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import random
import socket
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack
import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from gateways import HttpDaemon, SentFrom, basic, is_ready
from running import wait_until

from engine.api import frames
from engine.api.table import OPERATIONS
from engine.gateway.tracking.api import ENDPOINTS
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_S_MAX: Final = 20.0
GROWTH_MIB_MAX: Final = 24
"""What a process may grow by after the first tenth of the cases: allocators keep some, and caches fill."""

# --- What is sent

NAMES: Final = (
    "type userId anonymousId event messageId timestamp originalTimestamp sentAt context integrations properties traits "
    "batch writeKey previousId groupId receivedAt"
).split()
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=12)
    | st.sampled_from(
        ["track", "identify", "u", "2026-11-24T21:00:00Z", "0001-01-01T00:00:00Z", "x" * 100, ""]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)
SENSIBLE = st.fixed_dictionaries(
    {"type": st.just("track"), "userId": st.just("u"), "event": st.just("e")},
    optional={name: VALUES for name in NAMES if name not in {"type", "userId", "event", "batch"}},
)
EVENTS = SENSIBLE | st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8) | VALUES
DOCUMENTS = EVENTS | st.fixed_dictionaries(
    {"batch": st.lists(EVENTS, max_size=4) | VALUES},
    optional=dict.fromkeys(("context", "integrations", "sentAt", "writeKey"), VALUES),
)
EDITS = st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=3)), max_size=4)


def edited(data: bytes, edits: list[tuple[int, bytes]]) -> bytes:
    """Bytes put in, or taken out, here and there."""
    for at, piece in edits:
        place = at % (len(data) + 1)
        data = data[:place] + piece + data[place + (at & 1) :]
    return data


BODIES = st.binary(max_size=60) | st.builds(
    edited, DOCUMENTS.map(lambda document: json.dumps(document).encode()), st.just([]) | EDITS
)
PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": bytes,
    "gzip, gzip": bytes,
}
PATHS = st.sampled_from([*ENDPOINTS, "/v1/", "/v1/track?x=%00", "/%ff", "//", "*"])


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the gateway."""

    method: str
    path: str
    encoding: str
    claimed: str
    is_chunked: bool
    is_authorized: bool
    body: bytes
    edits: list[tuple[int, bytes]]

    def data(self, key: str) -> bytes:
        """On the wire."""
        body = PACKERS[self.encoding](self.body)
        head = [f"{self.method} {self.path} HTTP/1.1", "host: x", "connection: close"]
        if self.is_authorized:
            head.append(f"authorization: {basic(key)['authorization']}")
        if self.claimed:
            head.append(f"content-encoding: {self.claimed}")
        if self.is_chunked:
            head.append("transfer-encoding: chunked")
            cut = len(body) // 2
            parts = [part for part in (body[:cut], body[cut:]) if part]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        else:
            head.append(f"content-length: {len(body)}")
        return edited("\r\n".join([*head, "", ""]).encode() + body, self.edits)


def asked(encoding: str, lie: str, **fields: Any) -> Asked:
    return Asked(encoding=encoding, claimed=lie or encoding, **fields)


REQUESTS = st.builds(
    asked,
    method=st.sampled_from(["POST"] * 8 + ["GET", "OPTIONS", "PUT", "HEAD", "CONNECT"]),
    path=PATHS,
    encoding=st.sampled_from(list(PACKERS)),
    lie=st.sampled_from(["", "", "", "gzip", "deflate"]),
    is_chunked=st.booleans(),
    is_authorized=st.sampled_from([True, True, True, False]),
    body=BODIES,
    edits=st.just([]) | EDITS,
)


def is_packable(value: Any) -> bool:
    """Whether a frame can carry it."""
    try:
        msgpack.packb(value)
    except (OverflowError, UnicodeEncodeError, ValueError):
        return False
    return True


ARGUMENTS = st.dictionaries(
    st.sampled_from(
        ["name", "source", "events", "settings", "code", "state", "since_ms", "id", "limit", "type"]
    )
    | st.text(max_size=5),
    VALUES.filter(is_packable),
    max_size=4,
)
CALLED: Final = [name for name in OPERATIONS if not name.endswith(("rotate", "create"))]
"""Not those that make something each time: that is kept, and rightly."""
COLUMNS = st.fixed_dictionaries(
    {
        "destination": st.sampled_from(["web", "nowhere", ""]) | st.text(max_size=3),
        "flags": st.integers(0, 9),
        "types": st.binary(max_size=4),
        "message_ids": st.lists(st.text(max_size=4), max_size=4),
        "user_keys": st.lists(st.text(max_size=4), max_size=4),
        "integrations": st.dictionaries(st.integers(-1, 5), st.binary(max_size=5), max_size=3),
        "sizes": st.lists(st.integers(-1, 40), max_size=4),
        "bodies": st.binary(max_size=60),
    }
)


def submit(destination: str, flags: int, **columns: Any) -> bytes:
    """A frame with columns that needn't agree."""
    return frames.Submit(1, destination, flags, wire.Events(**columns)).pack()


def agreeing(destination: str, flags: int, **columns: Any) -> bytes:
    """One event of the source, whose body is anything."""
    body, id_ = columns["bodies"], columns["bodies"].hex()[:90]
    events = wire.Events(b"\x01", [id_], ["u"], columns["integrations"], [len(body)], body)
    return frames.Submit(1, destination and "web", flags | frames.SUBMIT_TO_SOURCE, events).pack()


FRAMES = st.one_of(
    COLUMNS.map(lambda fields: submit(**fields)),
    COLUMNS.map(lambda fields: agreeing(**fields)),
    st.builds(
        lambda name, arguments: frames.Call(2, name, arguments).pack(),
        st.sampled_from(CALLED) | st.text(max_size=5),
        ARGUMENTS,
    ),
    st.integers(-1, 20_000).map(lambda count: frames.Credit(2, count).pack()),
    st.just(frames.Cancel(2).pack()),
    st.binary(max_size=40).map(lambda body: wire.LENGTH.pack(len(body)) + body),
    st.binary(max_size=40),
)  # fmt: skip
CONVERSATIONS = st.builds(
    edited, st.lists(FRAMES, min_size=1, max_size=4).map(b"".join), st.just([]) | st.just([]) | EDITS
)

# --- What must not happen


def talk(family: int, address: Any, data: bytes) -> bytes:
    """Send it, and take what is answered until the other side hangs up."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S_MAX)
        connection.connect(address)
        answered = b""
        with contextlib.suppress(ConnectionError):  # it may be hung up on before all is sent
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answered += part
        return answered


def check_request(address: tuple[str, int], key: str, request: Asked) -> None:
    """Answered, if it is one, with anything but an error of ours."""
    answered = talk(socket.AF_INET, address, request.data(key))
    status = answered[9:12]
    assert not status.startswith(b"5"), (request, answered)
    assert status or request.edits, (request, "no answer")
    if status == b"200" and request.method == "POST":
        assert b'{"success":true}' in answered


def check_conversation(path: str, data: bytes) -> None:
    """Each answer is a frame, and none says that the daemon failed."""
    hello = frames.Hello(wire.PROTOCOL_VERSION, None).pack()
    answered = talk(socket.AF_UNIX, path, hello + data)
    buffer = wire.FrameBuffer(wire.MIB * 64)
    for body in buffer.feed(answered):
        frame = frames.decode(body, frames.FROM_DAEMON, items_max=100_000, map_max=100_000)
        assert not (isinstance(frame, frames.Error) and frame.code == "internal_error"), (data, frame)


class Watched:
    """A process that must neither end nor grow."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.start_mib = self.mib()

    def mib(self) -> float:
        """Its memory; raises if it has ended."""
        return float(self._process.memory_info().rss) / wire.MIB

    def check(self, name: str) -> None:
        """Compare with the start."""
        grown = self.mib() - self.start_mib
        assert grown < GROWTH_MIB_MAX, f"the {name} grew by {grown:.1f} MiB"
        print(f"the {name}: {self.start_mib:.1f} MiB, and {grown:+.1f}")


def drawn(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], cases: int, number: int) -> None:
    """`check` on so many cases; the first that fails is made small, and raised."""

    @seed(number)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(case: Any) -> None:
        check(case)

    run()


def fuzz(folder: Path, cases: int, number: int) -> None:
    """On a daemon of its own."""
    daemon = HttpDaemon(folder)
    daemon.start()
    try:
        wait_until(lambda: is_ready(daemon.http))
        with daemon.client() as client:
            key = SentFrom(daemon, client, "web").key
        host, _, port = daemon.http.rpartition(":")
        address, path = (host, int(port)), os.fspath(daemon.socket)

        def both(requests: int, conversations: int, seed_number: int) -> None:
            drawn(REQUESTS, lambda case: check_request(address, key, case), requests, seed_number)
            drawn(CONVERSATIONS, lambda case: check_conversation(path, case), conversations, seed_number)

        assert daemon.process is not None
        both(cases // 20, cases // 20, number)
        watched = {"gateway": Watched(daemon.gateway().pid), "daemon": Watched(daemon.process.pid)}
        both(cases // 2 - cases // 20, cases // 2 - cases // 20, number + 1)
        for name, process in watched.items():
            process.check(name)
        with daemon.client() as client:
            assert client.list() == []
        for line in daemon.log.read_text().splitlines():
            assert not any(word in line for word in ("Traceback", "request_failed", "operation_failed")), line
    finally:
        assert daemon.stop() == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    number = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {number}: {arguments.cases} cases", flush=True)
    with tempfile.TemporaryDirectory(prefix="engine-fuzz-") as folder:
        fuzz(Path(folder), arguments.cases, number)
    print("no error of ours, no crash, no growth")
    return 0


if __name__ == "__main__":
    sys.exit(main())

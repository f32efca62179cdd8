"""What every worker does when it begins, done in the zygote before the first fork.

The interpreter adapts code as it runs, in place: what it has adapted here is shared, and needn't be adapted, and copied
page by page, in each worker. A spare takes half a MiB less by it.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Final

import msgpack

from sandbox import modules, wire
from sandbox.runtime.context import CURRENT
from sandbox.runtime.fetch import LINK
from sandbox.worker.eventloop import WorkerLoop
from sandbox.worker.loop import WARM_UP, Worker
from sandbox.worker.pipe import READ_BYTES, Pipe

if TYPE_CHECKING:
    from sandbox.worker.ticker import Ticker

TIMES: Final = 20
"""Code is adapted after eight calls at most; what it calls, later."""
EVENTS: Final = 3


def rehearse(ticker: Ticker) -> None:
    """Leaves nothing behind but what the interpreter has learned."""
    pipe, http_fds = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    for _ in range(TIMES):
        modules.reseed()
        loop = WorkerLoop().renew()
        with select.epoll() as epoll:
            page = memoryview(bytearray(wire.PAGE_BYTES))
            worker = Worker(Pipe(*pipe), http_fds, epoll, page, ticker=ticker)
            worker.warm_up()
            for frame in (_LOAD, _INVOKE):
                os.write(pipe[1], frame.pack())
                worker.take(loop)  # reads
                worker.take(loop)  # answers, into the same pipe
                os.read(pipe[0], READ_BYTES)
        loop.close()
    CURRENT.set(None)
    LINK.channel = None
    for fd in (*pipe, *http_fds):
        os.close(fd)


_LOAD: Final = wire.Load(
    code=WARM_UP,
    source=None,
    filename="warm_up.py",
    settings=msgpack.packb({"prefix": "a"}),
    timeout_ms=1_000,
    concurrency=1,
    console_bytes=wire.CONSOLE_BYTES_MAX,
    filter=b"",
    sensitive=[],
)
_BODY: Final[bytes] = msgpack.packb(
    {"type": "track", "messageId": "m", "userId": "u", "properties": {"a": 1.5, "b": None}}
)
_INVOKE: Final = wire.Invoke(
    1, 0, b"\x01" * EVENTS, ["m"] * EVENTS, ["u"] * EVENTS, [len(_BODY)] * EVENTS, _BODY * EVENTS
)

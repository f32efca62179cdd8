"""What every worker does when it begins, done in the zygote before the first fork.

The interpreter adapts code as it runs, in place: what it has adapted here is shared, and needn't be adapted, and copied
page by page, in each worker. So are the names that events have. A worker takes 0.6 MiB less by it.
"""

from __future__ import annotations

import gc
import os
import select
import sys
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

import msgpack

from sandbox import jail, kernel, landlock, modules, wire
from sandbox.runtime.context import CURRENT
from sandbox.runtime.fetch import LINK
from sandbox.worker.eventloop import WorkerLoop
from sandbox.worker.loop import WARM_UP, Worker
from sandbox.worker.packing import fill_holes, renew_code
from sandbox.worker.pipe import Pipe

if TYPE_CHECKING:
    from sandbox.worker.ticker import Ticker

TIMES: Final = 20
"""Code is adapted after eight calls at most; what it calls, later."""
EVENTS: Final = 3


def prepare(ticker: Ticker) -> None:
    """Make what workers will share as large as can be. Nothing is collected any more after it."""
    codes: set[CodeType] = set()
    sys.setprofile(lambda frame, _event, _argument: codes.add(frame.f_code))
    try:
        _rehearse(ticker)
    finally:
        sys.setprofile(None)
    for module in (jail, kernel, landlock):  # what can't be rehearsed, for it can't be undone
        codes |= {each.__code__ for each in vars(module).values() if isinstance(each, FunctionType)}
    gc.collect()
    fill_holes()
    renew_code(codes)
    codes.clear()  # what is freed after the holes are filled leaves others
    for _ in range(TIMES):
        _rehearse(ticker)
    gc.collect()
    fill_holes()
    gc.freeze()


def _rehearse(ticker: Ticker) -> None:
    """Leaves nothing behind but what the interpreter has learned."""
    frames, answers, http_fds = (os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) for _ in range(3))
    modules.reseed()
    loop = WorkerLoop().renew()
    with select.epoll() as epoll:
        page = memoryview(bytearray(wire.PAGE_BYTES))
        worker = Worker(Pipe(frames[0], answers[1]), http_fds, epoll, page, ticker=ticker)
        worker.warm_up()
        for frame in (_LOAD, _INVOKE):
            os.write(frames[1], frame.pack())
            worker.take(loop)  # reads
            worker.take(loop)  # does what it says
            worker.take(loop)  # finds nothing more and rests: no tick may answer once the pipes are closed
    loop.close()
    CURRENT.set(None)
    LINK.channel = None
    for fd in (*frames, *answers, *http_fds):
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
_EVENT: Final[dict[str, Any]] = {
    "type": "track",
    "messageId": "m",
    "userId": "u",
    "anonymousId": "a",
    "event": "e",
    "name": None,
    "category": None,
    "groupId": None,
    "previousId": None,
    "version": 2,
    "channel": "server",
    "timestamp": "t",
    "sentAt": "t",
    "receivedAt": "t",
    "originalTimestamp": "t",
    "writeKey": "k",
    "integrations": {"All": True},
    "properties": {
        **dict.fromkeys(("path", "referrer", "search", "title", "url", "name", "category", "email", "plan")),
        **dict.fromkeys(("revenue", "currency", "value", "price", "quantity", "total", "coupon", "discount")),
        **dict.fromkeys(("order_id", "product_id", "products", "sku", "brand", "variant", "position")),
    },
    "traits": dict.fromkeys(("email", "name", "firstName", "lastName", "phone", "plan", "company", "address", "createdAt")),
    "context": {
        "ip": "i",
        "userAgent": "u",
        "locale": "l",
        "timezone": "z",
        "library": {"name": "n", "version": "v"},
        "page": dict.fromkeys(("path", "referrer", "search", "title", "url")),
        "device": dict.fromkeys(("id", "manufacturer", "model", "name", "type", "advertisingId")),
        "app": dict.fromkeys(("name", "version", "build", "namespace")),
        "os": dict.fromkeys(("name", "version")),
        "campaign": dict.fromkeys(("name", "source", "medium", "term", "content")),
        "network": dict.fromkeys(("carrier", "cellular", "wifi")),
        "screen": dict.fromkeys(("width", "height", "density")),
    },
}  # fmt: skip
"""Names of the Segment spec, which decoding shares between all events: these are there before a worker is."""
_BODY: Final[bytes] = msgpack.packb(_EVENT)
_INVOKE: Final = wire.Invoke(
    1, 0, b"\x01" * EVENTS, ["m"] * EVENTS, ["u"] * EVENTS, [len(_BODY)] * EVENTS, _BODY * EVENTS
)

"""What the API layer is tested against: the interface of `engine.dispatch.core.Core`, in memory, driven by the test."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import uvloop

from engine.api.auth import People
from engine.api.unix import UnixServer
from engine.clock import ManualClock
from engine.errors import Conflict, EngineError, FunctionRefused, NotFound
from engine.model import Token
from engine.registry.tokens import digest_of
from engine.roles import Grants
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    from engine.dispatch.tally import Tally

REFUSAL = wire.Detail(error={"code": "bad_request", "type": "ValueError", "message": "no", "line": 3})


class FakeTokens:
    """Tokens by what they are."""

    def __init__(self) -> None:
        self.known: dict[bytes, Token] = {}
        self.used: list[str] = []

    def add(self, text: str, *roles: str) -> None:
        number = len(self.known) + 1
        self.known[digest_of(text)] = Token(number, f"t{number}", Grants.parse(roles), 0, None, None)

    def find(self, digest: bytes) -> Token | None:
        return self.known.get(digest)

    def use(self, digest: bytes) -> None:
        self.used.append(self.known[digest].name)


class FakeDirectory:
    """`orders` runs the function `shop`."""

    def function_of(self, destination: str) -> str | None:
        return "shop" if destination == "orders" else None

    def has_destinations(self, function: str) -> bool:
        return function == "shop"


class FakeCore:
    """One destination, `orders`. Track events are delivered, others are discarded as `bad_request`."""

    def __init__(self) -> None:
        self.submitted: list[wire.Events] = []
        self.refusal: EngineError | None = None
        self.refuse_after: int | None = None
        self.is_holding = False
        self.held: list[Callable[[], None]] = []
        self.congested = False
        self.congested_after: int | None = None
        self.relief = asyncio.Event()
        self.log_lines = 3
        self.lines_made = 0
        self.streams_open = 0
        self.arguments: dict[str, Any] = {}
        self.overview = SimpleNamespace(stats=self.stats)
        self.looking = SimpleNamespace(destinations=self.destinations, show=self.show, logs=self.logs)
        self.directory = FakeDirectory()
        self.control = SimpleNamespace(destinations=SimpleNamespace(deploy=self.deploy))
        self.blocked = asyncio.Event()
        self.cancelled: list[str] = []

    def submit(
        self,
        name: str,
        events: wire.Events,
        acked: Callable[[EngineError | None, int], None],
        tally: Tally | None,
        *,
        is_deduped: bool = True,
        to_source: bool = False,
    ) -> None:
        self.was_deduped = is_deduped
        self.was_to_source = to_source
        if name != "orders":
            raise NotFound(f"there is no destination named {name!r}", remedy="deploy one")
        if self.refusal is not None and len(self.submitted) >= (self.refuse_after or 0):
            raise self.refusal
        self.submitted.append(events)
        if len(self.submitted) == self.congested_after:
            self.congested = True

        def answer() -> None:
            acked(None, 0)
            if tally is not None:
                good = sum(kind == wire.EVENT_TYPE_INDEX["track"] for kind in events.types)
                if good:
                    tally.add("delivered", "delivered", good)
                if good < len(events.sizes):
                    tally.add("discarded", "bad_request", len(events.sizes) - good, REFUSAL.pack())

        if self.is_holding:
            self.held.append(answer)
        else:
            asyncio.get_running_loop().call_soon(answer)

    def release(self) -> None:
        self.is_holding = False
        held, self.held = self.held, []
        for answer in held:
            answer()

    async def relieved(self) -> None:
        await self.relief.wait()

    async def deploy(self, **arguments: Any) -> dict[str, Any]:
        self.arguments = arguments
        if "refuse" in arguments["source"]:
            diagnostic = {
                "line": 2,
                "column": 5,
                "rule": "import",
                "message": "os can't be imported",
                "remedy": "use settings",
                "source_line": "\timport os",
            }
            raise FunctionRefused(
                "the function does not compile", remedy="mend it", data={"diagnostics": [diagnostic]}
            )
        if "break" in arguments["source"]:
            raise RuntimeError("a mistake of ours")
        handler = {"name": "on_track", "type": "track", "async": False, "line": 1}
        return {"name": arguments["name"], "version": 1, "created": True, "handlers": [handler], "logs": []}

    async def test(self, *, events: wire.Events, **arguments: Any) -> list[dict[str, Any]]:
        self.arguments = arguments
        result = {
            "ok": True,
            "result": "1",
            "error": None,
            "logs": [],
            "requests": [],
            "duration_ms": 0.5,
        }
        return [result for _ in events.sizes]

    def destinations(self) -> list[dict[str, Any]]:
        return [{"name": f"d{at}"} for at in range(self.log_lines)]

    async def show(self, name: str) -> dict[str, Any]:
        if name != "orders":
            raise NotFound(f"there is no destination named {name!r}", remedy="deploy one")
        return {"name": name, "version": 1}

    async def remove(self, name: str, *, discard: bool) -> dict[str, Any]:
        if not discard:
            raise Conflict("3 events wait", remedy="discard them", data={"stored": 3})
        return {"name": name, "discarded": 3}

    async def stats(self) -> dict[str, Any]:
        try:
            await self.blocked.wait()
        except asyncio.CancelledError:
            self.cancelled.append("stats")
            raise
        return {"uptime_s": 1.0}

    def workers(self) -> list[dict[str, Any]]:
        return []

    async def logs(self, name: str, *, follow: bool, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        self.arguments = arguments
        if name != "orders":
            raise NotFound(f"there is no destination named {name!r}", remedy="deploy one")
        self.streams_open += 1
        try:
            while follow or self.lines_made < self.log_lines:
                self.lines_made += 1
                yield {"at": "now", "n": self.lines_made}
        finally:
            self.streams_open -= 1


class ServedCore:
    """A fake core behind a real socket, on a loop in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.core = self.run(self._make())
        self.tokens, self.clock = FakeTokens(), ManualClock()
        self.people = People(self.tokens, self.clock)  # type: ignore[arg-type]
        self.server = UnixServer(self.core, self.people, path, 0o600)  # type: ignore[arg-type]
        self.run(self.server.start())

    @staticmethod
    async def _make() -> FakeCore:
        return FakeCore()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def call(self, function: Callable[[], Any]) -> Any:
        async def body() -> Any:
            return function()

        return self.run(body())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, on the server's loop, until it holds."""

        async def body() -> None:
            async with asyncio.timeout(10):
                while not condition():  # noqa: ASYNC110  what is waited for belongs to the code under test
                    await asyncio.sleep(0.001)

        self.run(body())

    def hang_up(self) -> None:
        self.call(self.server.stop_listening)
        self.call(self.server.close)

    def close(self) -> None:
        self.hang_up()
        self.until(lambda: not self.server.connections and len(asyncio.all_tasks()) == 1)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@contextlib.contextmanager
def served(path: Path) -> Iterator[ServedCore]:
    daemon = ServedCore(path)
    try:
        yield daemon
    finally:
        daemon.close()

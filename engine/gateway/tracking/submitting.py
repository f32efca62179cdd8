"""Events of many requests → few submits: what arrives in one turn of the loop for a source is one frame.

A hundred clients that send an event each cost the daemon one frame, one chunk and a share of a commit; each is told when
its own is durable. A frame that is refused for one event's sake is sent again in the parts it was made of.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.errors import EngineError, Unavailable, UsageError
from engine.gateway.tracking.messages import FRAME_BYTES_MAX
from sandbox.wire import SUBMIT_EVENTS_MAX, Events

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.async_client import AsyncClient

UNANSWERED_BYTES_MAX: Final = 32 << 20
"""Events with the daemon, or on their way, that aren't durable yet; beyond it clients are to wait."""
ANSWER_S_MAX: Final = 30.0
"""How long a submit is waited for."""


class Pressed(Exception):
    """The disk, or the daemon, doesn't keep up: nothing more is taken for now."""


@dataclass(slots=True, eq=False)
class Waiting:
    """One request's events."""

    events: Events
    durable: asyncio.Future[None]


class Submitter:
    """Owner of what is sent and not answered."""

    def __init__(self, connection: Callable[[], AsyncClient]) -> None:
        """`connection()` is the one for events; it raises `Unavailable` while there is none."""
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, list[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.unanswered_bytes = 0

    def check(self) -> None:
        """Raises `Pressed` if nothing more can be taken, `Unavailable` if the daemon is away."""
        if self.unanswered_bytes > UNANSWERED_BYTES_MAX:
            raise Pressed
        self._connection()

    async def submit(self, source: str, events: Events) -> None:
        """Returns when they are durable. Raises what the daemon answered, `Unavailable` if it didn't."""
        waiting = Waiting(events, self._loop.create_future())
        size = len(events.bodies)
        self.unanswered_bytes += size
        try:
            if not self._waiting:
                self._loop.call_soon(self._flush)
            self._waiting.setdefault(source, []).append(waiting)
            await waiting.durable
        finally:
            self.unanswered_bytes -= size

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for source, requests in waiting.items():
            for group in grouped(requests):
                self._spawn(source, group)

    def _spawn(self, source: str, group: list[Waiting]) -> None:
        task = self._loop.create_task(self._send(source, group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, source: str, group: list[Waiting]) -> None:
        failure: EngineError | None = None
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await self._connection().submit_whole(
                    source, Events.join([waiting.events for waiting in group]), to_source=True
                )
        except TimeoutError:
            failure = Unavailable("the daemon doesn't answer", remedy="try again")
        except UsageError as error:
            if len(group) > 1:
                for waiting in group:
                    self._spawn(source, [waiting])
                return
            failure = error
        except EngineError as error:
            failure = error
        for waiting in group:
            if waiting.durable.done():  # its client has hung up
                continue
            if failure is None:
                waiting.durable.set_result(None)
            else:
                waiting.durable.set_exception(failure)


def grouped(requests: list[Waiting]) -> list[list[Waiting]]:
    """Pure: what travels together, in order, within what a frame may hold."""
    groups: list[list[Waiting]] = []
    count = size = 0
    for waiting in requests:
        events = waiting.events
        count += len(events.sizes)
        size += len(events.bodies)
        if not groups or count > SUBMIT_EVENTS_MAX or size > FRAME_BYTES_MAX:
            groups.append([])
            count, size = len(events.sizes), len(events.bodies)
        groups[-1].append(waiting)
    return groups

"""One client's connection: frames, flow, who it is and what it may.

A connection's replies of one turn of the loop go out in one write. What isn't read stays in the kernel: while the
journal is behind, or the client doesn't take its replies, its connection isn't read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

import structlog

from engine.api import access, frames
from engine.api.allowance import CREDIT_MAX, Allowance
from engine.api.auth import ORIGIN_CHARS_MAX, peer_of, without_token
from engine.api.operations import CALLS
from engine.api.table import parse
from engine.dispatch.tally import Tally
from engine.errors import EngineError, Forbidden, InvalidEvent, Unavailable, UsageError
from engine.registry.audit import CALLER
from engine.roles import Role
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Any

    from engine.api.auth import Asker, Identity, Peer, People
    from engine.api.requests import Request
    from engine.dispatch.core import Core

log = structlog.get_logger()

CONNECTIONS_MAX: Final = 1_024
OTHERS_MAX: Final = 768
"""Beyond so many only root and the daemon's own user are let in: others can't shut them out."""
REQUESTS_MAX: Final = 64
"""Calls and streams at once on a connection; submits aren't counted, the journal bounds them."""
NAME_CHARS_MAX: Final = 120
HELLO_BYTES_MAX: Final = 1_024
"""Nobody is known before Hello: nothing larger is kept for whoever it is."""
HELLO_TIMEOUT_S: Final = 5.0
"""Who says nothing for so long after connecting has its place taken away."""


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, core: Core, people: People, connections: set[Connection]) -> None:
        """`connections` are all that there are; it adds itself."""
        self._core = core
        self._people = people
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._buffer = wire.FrameBuffer(HELLO_BYTES_MAX)
        self._peer: Peer | None = None
        self._asker: Asker | None = None
        """Whose requests these are; None until Hello."""
        self._is_relay = False
        self._impatience: asyncio.TimerHandle | None = None
        self._replies: list[bytes] = []
        self._accepted: tuple[list[int], list[int], list[int]] = ([], [], [])
        """Columns of the next `Accepted`."""
        self._delivered: tuple[list[int], list[int]] = ([], [])
        """Columns of the next `Delivered`."""
        self._is_scheduled = False
        self._requests: dict[int, asyncio.Task[None]] = {}
        self._allowances: dict[int, Allowance] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._relief: asyncio.Task[None] | None = None

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See who it is; count it. What it may is judged when it says Hello: it may show a token."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's isn't a subclass
        self._connections.add(self)
        self._peer = peer_of(transport.get_extra_info("socket"))
        connections_max = CONNECTIONS_MAX if self._people.is_own(self._peer) else OTHERS_MAX
        if len(self._connections) > connections_max:
            self._fail(
                Unavailable(
                    f"{connections_max} clients are connected", remedy="close some, or use fewer connections"
                )
            )
            return
        self._impatience = asyncio.get_running_loop().call_later(HELLO_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        self._fail(UsageError(f"no Hello within {HELLO_TIMEOUT_S:g} s", remedy="send it first"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Its streams end with it; what it submitted stays submitted."""
        self._connections.discard(self)
        self._transport = None
        for task in self._requests.values():
            task.cancel()
        if self._relief is not None:
            self._relief.cancel()
        if self._impatience is not None:
            self._impatience.cancel()

    def pause_writing(self) -> None:
        """It doesn't take its replies: read nothing more from it."""
        self._writable.clear()
        self._update_reading()

    def resume_writing(self) -> None:
        """It takes them again."""
        self._writable.set()
        self._update_reading()

    def data_received(self, data: bytes) -> None:
        """Whatever it sends: anything but good frames ends the connection, and nothing else."""
        try:
            for body in self._buffer.feed(data):
                frame = frames.decode(body, frames.FROM_CLIENT)
                if self._asker is None:
                    self._greet(frame)
                elif isinstance(frame, frames.Submit):
                    self._submit(frame, self._asker)
                else:
                    self._take(frame, self._asker)
        except EngineError as error:
            self._fail(error)
        except wire.WireError as error:
            self._fail(
                UsageError(
                    f"not this daemon's protocol: {error}", remedy="see engine/README.md for the frames"
                )
            )
        if self._core.congested:
            self._update_reading()

    def _update_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._writable.is_set() or self._core.congested:
            self._transport.pause_reading()
            if self._writable.is_set() and self._relief is None:
                self._relief = asyncio.get_running_loop().create_task(self._wait_for_relief())
        else:
            self._transport.resume_reading()

    async def _wait_for_relief(self) -> None:
        await self._core.relieved()
        self._relief = None
        self._update_reading()

    def _fail(self, error: EngineError) -> None:
        """Say why, and close."""
        log.info("connection_refused", code=error.code, reason=error.message)
        self._flush()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                frames.Error(frames.CONNECTION_ID, error.code, error.message, error.remedy, error.data).pack()
            )
            self._transport.close()

    # --- Replies

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def reply(self, frame: wire.Frame) -> None:
        """Send it with the others of this turn of the loop."""
        self._schedule()
        self._replies.append(frame.pack())

    def _flush(self) -> None:
        """Acknowledgements first: what comes of events is told after that they are durable."""
        self._is_scheduled = False
        replies, self._replies = self._replies, []
        if self._accepted[0]:
            replies.insert(0, frames.Accepted(*self._accepted).pack())
            self._accepted = ([], [], [])
        if self._delivered[0]:
            replies.append(frames.Delivered(*self._delivered).pack())
            self._delivered = ([], [])
        if replies and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(replies))

    def reply_error(self, request_id: int, error: EngineError) -> None:
        """A request failed."""
        self.reply(frames.Error(request_id, error.code, error.message, error.remedy, error.data))

    # --- Requests

    def _greet(self, frame: wire.Frame) -> None:
        """The first frame. Raises `EngineError` for whoever may not connect."""
        if not isinstance(frame, frames.Hello):
            raise wire.WireError("the first frame is Hello")
        if frame.protocol != wire.PROTOCOL_VERSION:
            raise wire.WireError(f"protocol {frame.protocol}; this daemon speaks {wire.PROTOCOL_VERSION}")
        peer = self._peer
        assert peer is not None
        if frame.token is None:
            shown = self._people.of_peer(peer)
        else:
            shown = self._people.of_token(frame.token, address=f"uid {peer.uid}", through=self._place)
        if frame.is_relay:
            shown = self._people.as_relay(shown)
        self._asker, self._is_relay = shown, frame.is_relay
        self._buffer.bytes_max = wire.CLIENT_FRAME_BYTES_MAX
        if self._impatience is not None:
            self._impatience.cancel()
        self.reply(frames.Welcome(wire.PROTOCOL_VERSION, LIMITS, {"pid": os.getpid()}))

    @property
    def _place(self) -> str:
        return f"on the socket, pid {self._peer.pid}" if self._peer is not None else ""

    def _take(self, frame: wire.Frame, own: Asker) -> None:
        if isinstance(frame, frames.Call):
            self._call(frame, own)
        elif isinstance(frame, frames.Credit):
            if not 0 < frame.count <= CREDIT_MAX:
                raise wire.WireError(f"a credit is 1 to {CREDIT_MAX}")
            if frame.id in self._allowances:
                self._allowances[frame.id].add(frame.count)
        elif isinstance(frame, frames.Cancel):
            task = self._requests.get(frame.id)
            if task is not None:
                task.cancel()
        else:
            raise wire.WireError(f"{type(frame).__name__} out of turn")

    def _submit(self, frame: frames.Submit, own: Asker) -> None:
        request_id, events = frame.id, frame.events
        count = len(events.sizes)
        try:
            is_shown = self._check_submit(frame, own())
            wire.check_events(events)
            tally = (
                Tally(count, lambda tally: self._settled(request_id, tally, is_shown=is_shown))
                if frame.flags & frames.SUBMIT_WAIT
                else None
            )
            self._core.submit(
                frame.destination,
                events,
                lambda error, duplicates: self._acked(request_id, count, duplicates, error),
                tally,
                is_deduped=not frame.flags & frames.SUBMIT_NO_DEDUPE,
                to_source=bool(frame.flags & frames.SUBMIT_TO_SOURCE),
            )
        except wire.WireError as error:
            self.reply_error(
                request_id, InvalidEvent(str(error), remedy="encode events as engine.client does")
            )
        except EngineError as error:
            self.reply_error(request_id, error)

    def _check_submit(self, frame: frames.Submit, identity: Identity) -> bool:
        """Raise `Forbidden` if it isn't allowed; whether what functions said of the events may be shown to the sender."""
        name, grants = frame.destination, identity.grants
        if len(name) > NAME_CHARS_MAX:
            raise UsageError(
                f"a name has at most {NAME_CHARS_MAX} characters",
                remedy="`engine list` shows the destinations that there are",
            )
        if grants.everywhere(Role.OWNER):
            return True  # most are
        request = SimpleNamespace(name=name)
        rule = access.ACCESS["submit to a source" if frame.flags & frames.SUBMIT_TO_SOURCE else "submit"]
        access.check(identity.caller.who, grants, rule, self._core.directory, request)
        return not access.hides_payloads(grants, rule, self._core.directory, request)

    def _acked(self, request_id: int, count: int, duplicates: int, error: EngineError | None) -> None:
        if error is None:
            self._schedule()
            ids, accepted, duplicate = self._accepted
            ids.append(request_id)
            accepted.append(count - duplicates)
            duplicate.append(duplicates)
        else:
            self.reply_error(request_id, error)

    def _settled(self, request_id: int, tally: Tally, *, is_shown: bool) -> None:
        if tally.delivered == tally.expected:
            self._schedule()
            self._delivered[0].append(request_id)
            self._delivered[1].append(tally.delivered)
            return
        details = tally.first_details
        if not is_shown:
            details = {code: access.detail_without_payload(detail) for code, detail in details.items()}
        self.reply(
            frames.Settled(
                request_id,
                tally.delivered,
                tally.discarded,
                tally.retrying,
                tally.dead,
                tally.by_code,
                details,
            )
        )

    def _call(self, frame: frames.Call, own: Asker) -> None:
        if frame.id in self._requests:
            raise wire.WireError(f"request {frame.id} is still running")
        if not self._is_relay and (frame.token is not None or frame.origin):
            raise wire.WireError("only a relay's calls have tokens and origins of their own")
        if len(frame.origin) > ORIGIN_CHARS_MAX:
            raise wire.WireError(f"an origin has at most {ORIGIN_CHARS_MAX} characters")
        if len(self._requests) >= REQUESTS_MAX:
            self.reply_error(
                frame.id, Unavailable(f"{REQUESTS_MAX} requests are running", remedy="wait for one to end")
            )
            return
        try:
            shown = self._asker_of(frame, own)
            identity = shown()
            operation, request = parse(frame.operation, frame.arguments)
            rule = access.ACCESS[frame.operation]
            access.check(identity.caller.who, identity.grants, rule, self._core.directory, request)
        except Forbidden as error:
            is_nobody = self._is_relay and frame.token is None
            self.reply_error(frame.id, without_token(error) if is_nobody else error)
            return
        except EngineError as error:
            self.reply_error(frame.id, error)
            return
        if operation.is_stream:
            self._allowances[frame.id] = Allowance()
        task = asyncio.get_running_loop().create_task(self._answer(frame, request, shown, identity))
        self._requests[frame.id] = task
        task.add_done_callback(lambda task: self._answered(frame.id, task))

    def _asker_of(self, frame: frames.Call, own: Asker) -> Asker:
        """Whose call it is: a relay's own has no origin, and one that it passes on without a token is nobody's."""
        if frame.token is None and not frame.origin:
            return own
        address, through = frame.origin or "an unknown address", f"through a relay {self._place}"
        if frame.token is None:
            return self._people.nobody(address=address, through=through)
        return self._people.of_token(frame.token, address=address, through=through)

    def _answered(self, request_id: int, task: asyncio.Task[None]) -> None:
        self._requests.pop(request_id, None)
        self._allowances.pop(request_id, None)
        if task.cancelled():
            self.reply(frames.End(request_id))

    async def _answer(self, frame: frames.Call, request: Request, shown: Asker, identity: Identity) -> None:
        CALLER.set(identity.caller)
        try:
            if frame.id in self._allowances:
                await self._stream(frame, request, shown)
                return
            value = await CALLS[frame.operation](self._core, request)
            rule = access.ACCESS[frame.operation]
            seen = access.visible(identity.grants, rule, self._core.directory, value)
            self.reply(frames.Result(frame.id, seen))
        except EngineError as error:
            self.reply_error(frame.id, error)
        except Exception:
            log.exception("operation_failed")
            self.reply_error(
                frame.id,
                EngineError("the daemon failed at this; its log says why", remedy="report it with that log"),
            )

    async def _stream(self, frame: frames.Call, request: Request, shown: Asker) -> None:
        allowance, rule = self._allowances[frame.id], access.ACCESS[frame.operation]
        answer: AsyncGenerator[dict[str, Any], None] = CALLS[frame.operation](self._core, request)
        async with contextlib.aclosing(answer) as items:
            async for item in items:
                await allowance.take()
                await self._writable.wait()
                # Anew for each: what was taken away meanwhile isn't had any more.
                identity, directory = shown(), self._core.directory
                access.check(identity.caller.who, identity.grants, rule, directory, request)
                is_hidden = access.hides_payloads(identity.grants, rule, directory, request)
                self.reply(frames.Item(frame.id, access.without_payload(item) if is_hidden else item))
        self.reply(frames.End(frame.id))

    def close(self) -> None:
        """The daemon stops: send what is ready, and hang up."""
        self._flush()
        if self._transport is not None:
            self._transport.close()


LIMITS: Final = {
    "event_bytes_max": wire.EVENT_BYTES_MAX,
    "submit_events_max": wire.SUBMIT_EVENTS_MAX,
    "frame_bytes_max": wire.CLIENT_FRAME_BYTES_MAX,
    "requests_max": REQUESTS_MAX,
}

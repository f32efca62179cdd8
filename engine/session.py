"""A client's half of one connection, without I/O: ids, whose answer a frame is, and what answers mean.

`Client` and `AsyncClient` feed it what arrives and send what it packs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from engine.api import frames
from engine.errors import EngineError, Unavailable, UsageError, from_wire
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable

FROM_DAEMON_BYTES_MAX: Final = 64 * wire.MIB
FROM_DAEMON_ITEMS_MAX: Final = 1_000_000
"""Rows of a list; what the daemon sends is trusted to be of use, and yet bounded."""
CREDIT: Final = 256
"""Items of a stream that are asked for ahead."""
ABSENT_REMEDY: Final = "start one with `engine serve`, or name its socket with ENGINE_SOCKET"


@dataclass(slots=True)
class SubmitResult:
    """What became of a submit; all but `accepted` and `duplicates` are counted only with `wait=True`."""

    accepted: int = 0
    """Without duplicates."""
    delivered: int = 0
    discarded: int = 0
    retrying: int = 0
    dead: int = 0
    duplicates: int = 0
    """Acknowledged and not delivered: the destination had accepted their `messageId` before."""
    by_code: dict[str, int] = field(default_factory=dict)
    first_errors: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Code → the error of the first event that ended so."""
    elapsed_ms: float = 0.0

    def add(self, other: SubmitResult) -> None:
        """Count another submit's events too."""
        for name in ("accepted", "delivered", "discarded", "retrying", "dead", "duplicates"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for code, count in other.by_code.items():
            self.by_code[code] = self.by_code.get(code, 0) + count
        self.first_errors = {**other.first_errors, **self.first_errors}


@dataclass(frozen=True, slots=True)
class TestResult:
    """One event (or one event of a batch) tried with code that isn't deployed: the fields of `engine test --json`."""

    __test__ = False  # pytest: this is no test class
    ok: bool
    result: str | None
    """`repr` of what the handler returned."""
    error: dict[str, Any] | None
    """code, type, message, line, column, traceback (the author's frames)."""
    logs: list[dict[str, str]]
    requests: list[dict[str, Any]]
    duration_ms: float

    def as_map(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(slots=True, eq=False)
class Submission:
    """One submit under way. `is_done` once nothing more will be said of it; then `error` or `result` holds."""

    waits: bool
    done: Callable[[], None] | None = None
    """Called once, when it is."""
    result: SubmitResult = field(default_factory=SubmitResult)
    error: EngineError | None = None
    is_done: bool = False

    def accepted(self, accepted: int, duplicates: int) -> None:
        """Its events are durable."""
        self.result.accepted, self.result.duplicates = accepted, duplicates
        if not self.waits:
            self._end()

    def delivered(self, count: int) -> None:
        """All of its events were."""
        if count:
            self.result.delivered, self.result.by_code = count, {"delivered": count}
        self._end()

    def take(self, frame: wire.Frame) -> None:
        """A frame about this submit alone."""
        result = self.result
        if isinstance(frame, frames.Settled):
            result.delivered, result.discarded = frame.delivered, frame.discarded
            result.retrying, result.dead = frame.retrying, frame.dead
            result.by_code = frame.by_code
            for code, packed in frame.details.items():
                # What is only filtered has no error to tell.
                if error := wire.Detail.unpack(packed).error:
                    result.first_errors[code] = error
        else:
            self.error = error_of(frame)
        self._end()

    def _end(self) -> None:
        self.is_done = True
        if self.done is not None:
            self.done()


class Session:
    """Ids of a connection's requests, and who takes their answers. Answers that nobody waits for any more are dropped."""

    def __init__(self) -> None:
        self.welcome: frames.Welcome | None = None
        self._buffer = wire.FrameBuffer(FROM_DAEMON_BYTES_MAX)
        self._takers: dict[int, Callable[[wire.Frame], None]] = {}
        self._submissions: dict[int, Submission] = {}
        self._packer = msgpack.Packer()
        self._id = 0

    def open(self, take: Callable[[wire.Frame], None]) -> int:
        """A new request's id; `take` gets every frame that answers it."""
        self._id += 1
        self._takers[self._id] = take
        return self._id

    def submit(
        self,
        submission: Submission,
        name: str,
        events: wire.Events,
        *,
        dedupe: bool,
        to_source: bool,
    ) -> tuple[int, bytes]:
        """Its id, and the bytes of its frame. Raises `UsageError` for more than one frame takes."""
        if len(events.sizes) > wire.SUBMIT_EVENTS_MAX:
            raise UsageError(
                f"a batch of {len(events.sizes)} events; {wire.SUBMIT_EVENTS_MAX} are allowed",
                remedy="send smaller batches, or let `submit` cut them",
            )
        flags = (frames.SUBMIT_WAIT if submission.waits else 0) | (0 if dedupe else frames.SUBMIT_NO_DEDUPE)
        flags |= frames.SUBMIT_TO_SOURCE if to_source else 0
        # As `Submit.pack` does; a packer that is used again spares a buffer of 256 KiB each time.
        body: bytes = self._packer.pack([frames.Submit.KIND, self._id + 1, name, flags, *events])
        packed = _within_limit(wire.LENGTH.pack(len(body)) + body)
        self._id += 1
        self._submissions[self._id] = submission
        return self._id, packed

    def close(self, request_id: int) -> None:
        """No more answers are wanted."""
        if self._submissions.pop(request_id, None) is None:
            self._takers.pop(request_id, None)

    def feed(self, data: bytes) -> None:
        """Bytes of the daemon. Raises `EngineError` if it ends the connection, or isn't an engine daemon."""
        try:
            for body in self._buffer.feed(data):
                self._take(
                    frames.decode(
                        body,
                        frames.FROM_DAEMON,
                        items_max=FROM_DAEMON_ITEMS_MAX,
                        map_max=FROM_DAEMON_ITEMS_MAX,
                    )
                )
        except (wire.WireError, ValueError) as error:
            raise Unavailable(
                f"what answers doesn't speak this protocol: {error}",
                remedy="name the socket of an engine daemon, and use client and daemon of one version",
            ) from None

    def _take(self, frame: wire.Frame) -> None:
        if isinstance(frame, frames.Welcome):
            self.welcome = frame
            return
        if isinstance(frame, frames.Accepted):
            for at, accepted, duplicates in zip(frame.ids, frame.accepted, frame.duplicates, strict=True):
                if (submission := self._submissions.get(at)) is not None:
                    submission.accepted(accepted, duplicates)
            return
        if isinstance(frame, frames.Delivered):
            for at, count in zip(frame.ids, frame.counts, strict=True):
                if (submission := self._submissions.get(at)) is not None:
                    submission.delivered(count)
            return
        assert isinstance(frame, frames.Answer)
        request_id = frame.id
        if request_id == frames.CONNECTION_ID:
            raise error_of(frame)
        submission = self._submissions.get(request_id)
        take = self._takers.get(request_id) if submission is None else submission.take
        if take is not None:
            take(frame)

    def fail(self, error: EngineError) -> None:
        """The connection is lost: answer every request with the reason."""
        takers = self._takers | {each: submission.take for each, submission in self._submissions.items()}
        for request_id, take in takers.items():
            take(frames.Error(request_id, error.code, error.message, error.remedy, error.data))


def lost(path: str) -> Unavailable:
    """The daemon hung up."""
    return Unavailable(
        f"the daemon on {path} hung up; what it had not acknowledged may not be stored",
        remedy="look at its log, and submit again",
    )


def absent(path: str, reason: object) -> Unavailable:
    """Nobody answers on the socket."""
    return Unavailable(f"no daemon answers on {path} ({reason})", remedy=ABSENT_REMEDY)


class OnBehalf(NamedTuple):
    """Whose call a relay passes on: the token that was shown, if any, and the address that it came from."""

    token: str | None
    origin: str


NO_ONE_ELSE: Final = OnBehalf(None, "")
"""The call is the connection's own."""


def pack_hello(token: str | None, *, is_relay: bool = False) -> bytes:
    """The first frame's bytes."""
    return frames.Hello(wire.PROTOCOL_VERSION, token, is_relay).pack()


def pack_call(
    request_id: int, operation: str, arguments: dict[str, Any], whose: OnBehalf = NO_ONE_ELSE
) -> bytes:
    """The frame's bytes. Raises `UsageError` for values that can't be sent, or too many of them."""
    try:
        packed = frames.Call(request_id, operation, arguments, *whose).pack()
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"{operation}: an argument can't be sent: {error}", remedy="use the types that JSON has"
        ) from None
    return _within_limit(packed)


def _within_limit(packed: bytes) -> bytes:
    if len(packed) - wire.LENGTH.size > wire.CLIENT_FRAME_BYTES_MAX:
        raise UsageError(
            f"the request is {len(packed)} bytes; {wire.CLIENT_FRAME_BYTES_MAX} are allowed",
            remedy="send less at once",
        )
    return packed


def value_of(frame: wire.Frame) -> Any:
    """What an operation returned. Raises the error that it answered."""
    if isinstance(frame, frames.Result):
        return frame.value
    raise error_of(frame)


def with_event(delivery: dict[str, Any]) -> dict[str, Any]:
    """A delivery with its `event`, which the daemon passes on as the bytes that were submitted; None if they are no event."""
    body = delivery.pop("body", b"")
    try:
        event = wire.unpack_limited(body, items_max=wire.EVENT_BYTES_MAX, map_max=wire.EVENT_BYTES_MAX)
    except wire.WireError:
        event = None
    return {**delivery, "event": event}


def error_of(frame: wire.Frame) -> EngineError:
    """The error that a frame carries, or that the frame is."""
    if isinstance(frame, frames.Error):
        return from_wire(frame.code, frame.message, frame.remedy, frame.data)
    return EngineError(
        f"the daemon sent {type(frame).__name__} out of turn",
        remedy="use client and daemon of one version",
    )

"""Submits over one connection, each to a destination of its own, at a set rate or as fast as they are taken.

    sender (thread)    sleeps until a submit is due, writes its frame ─► daemon
    reader (caller)    reads answers, takes the time ◄───────────────────┘

At a set rate the load is open: a latency counts from the moment at which the submit was due to the moment at which its
outcome was read, whatever held it up in between; so nothing is omitted. Without one, `WINDOW` submits are under way.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.suite.latencies import Latencies
from engine.api import frames
from engine.session import Session, Submission
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_BYTES: Final = 256 * 1024
SILENT_S_MAX: Final = 30.0
WINDOW: Final = 256


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a load."""

    latencies: Latencies
    elapsed_s: float
    """From the moment at which the first was due to the last answer."""
    begun_s: float
    """That moment, as `time.perf_counter` told it."""


def drive(
    path: str, submits: Sequence[tuple[str, wire.Events]], *, submits_per_s: float | None = None
) -> Sent:
    """Send each to its destination, until all their events have had their first outcomes.

    Raises `RuntimeError` if one wasn't delivered, `TimeoutError` if the daemon falls silent.
    """
    session, answered = Session(), _Answered()
    packed = [
        session.submit(
            answered.submission(at, len(events.sizes)), name, events, dedupe=True, to_source=False
        )[1]
        for at, (name, events) in enumerate(submits)
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SILENT_S_MAX)
        connection.connect(path)
        connection.sendall(frames.Hello(wire.PROTOCOL_VERSION, None).pack())
        while session.welcome is None:
            session.feed(_read(connection))
        answered.begin(time.perf_counter(), 1 / submits_per_s if submits_per_s else 0.0)
        sender = threading.Thread(target=_send, args=(connection, packed, answered))
        sender.start()
        while answered.count < len(packed) and not answered.refused:
            session.feed(_read(connection))
        elapsed_s = time.perf_counter() - answered.begun
        answered.stop()
        sender.join()
    if answered.refused:
        raise RuntimeError(answered.refused)
    return Sent(answered.latencies, elapsed_s, answered.begun)


class _Answered:
    """What has been answered, and when each submit is due."""

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.count = 0
        self.refused = ""
        self.begun = self.interval_s = 0.0
        self.is_over = False
        self.room = threading.Semaphore(WINDOW)

    def begin(self, begun: float, interval_s: float) -> None:
        """`interval_s` of 0: as fast as they are taken."""
        self.begun, self.interval_s = begun, interval_s

    def stop(self) -> None:
        """Nothing more is to be sent."""
        self.is_over = True
        self.room.release()

    def submission(self, at: int, size: int) -> Submission:
        """Of the submit number `at` of `size` events: it counts and times its answer."""
        submission = Submission(waits=True)

        def done() -> None:
            self.latencies.record(time.perf_counter() - self.begun - at * self.interval_s)
            self.count += 1
            self.room.release()
            result = submission.result
            if submission.error is not None:
                self.refused = str(submission.error)
            elif result.delivered != size:
                self.refused = f"{result.delivered} of {size} events were delivered: {result.by_code}"

        submission.done = done
        return submission


def _send(connection: socket.socket, packed: Sequence[bytes], answered: _Answered) -> None:
    for at, frame in enumerate(packed):
        if answered.interval_s:
            pause_s = answered.begun + at * answered.interval_s - time.perf_counter()
            if pause_s > 0:
                time.sleep(pause_s)
        else:
            answered.room.acquire()
        if answered.is_over:
            return
        try:
            connection.sendall(frame)
        except OSError:
            return  # the reader hears of it too, and says so


def _read(connection: socket.socket) -> bytes:
    data = connection.recv(READ_BYTES)
    if not data:
        raise RuntimeError("the daemon hung up")
    return data

"""One worker process as the supervisor sees it: its pipes, what it holds, and whether it still moves.

    load(…) ──► send(runs) ──► listener.ended(…)      what it holds is known by sequence number
                          └──► listener.gone(…)       whatever it still held, with a culprit if there is one

Whatever the worker sends is hostile until checked: a frame out of turn, an outcome of a delivery that it doesn't
hold, or one reported twice ends it. Nothing is resynchronised.
"""

from __future__ import annotations

import contextlib
import os
import signal
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from engine.workers.states import LIVE, WorkerState, check_transition
from sandbox import wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.workers.zygote import SpareFds

GRACE_MS: Final = 250
"""How long past its deadline an invocation may keep the worker."""
COMPILE_MS_MAX: Final = 10_000
"""For compiling a source; loading has the function's own timeout besides."""
READ_BYTES: Final = 256 * 1024


@dataclass(slots=True, eq=False)
class Run:
    """Consecutive deliveries of one chunk, on their way through a worker. `remaining` has a bit for each not yet ended."""

    owner: Any
    """Whose they are; the worker passes it on and never looks."""
    events: wire.Events
    start: int
    """Place of the first in its chunk."""
    first: int = 0
    """Sequence number of the first in its worker."""
    remaining: int = 0

    def __len__(self) -> int:
        return len(self.events.sizes)

    def open_places(self) -> list[int]:
        """Places in the chunk of those that haven't ended."""
        return [self.start + at for at in range(len(self)) if self.remaining >> at & 1]


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended, and what it held. `culprits` are (run, offset in the run) that were being run."""

    reason: str
    """`stopped`, `refused`, `zygote`, or the outcome code of the culprit: `timeout`, `memory_limit`, `crashed`."""
    explanation: str
    held: list[Run] = field(default_factory=list)
    culprits: list[tuple[Run, int]] = field(default_factory=list)
    is_attack: bool = False
    """It broke the protocol or the system-call filter ended it."""


class Listener(Protocol):
    """Whoever gave the worker its work. Called from the event loop; must not raise."""

    def loaded(self, worker: Worker, frame: wire.Loaded) -> None:
        """The module is loaded."""

    def refused(self, worker: Worker, frame: wire.Refused) -> None:
        """The module didn't compile or load; `gone` follows."""

    def ended(
        self,
        worker: Worker,
        delivered: list[tuple[Run, int, int]],
        failures: list[tuple[Run, int, wire.Failure]],
    ) -> None:
        """`delivered` are (run, first offset, count); `failures` are (run, offset, row)."""

    def gone(self, worker: Worker, death: Death) -> None:
        """The process has ended."""


class Worker:
    """Owner of one worker's pipes, pidfd and shared page."""

    def __init__(
        self, spare: SpareFds, *, loop: asyncio.AbstractEventLoop, clock: Clock, pool: PoolEvents
    ) -> None:
        self.id = spare.id
        self.pid = spare.pid
        self.state = WorkerState.SPARE
        self.is_ready = False
        self.listener: Listener | None = None
        self.bound_to = ""
        self.is_async = False
        self.is_used_once = False
        """It ends by itself when whoever took it is done: nobody asks it to move off."""
        self.timeout_ms = 5_000
        self.runs: deque[Run] = deque()
        self.in_flight = 0
        self.holds_suspect = False
        self.busy_since = 0.0
        self.progress_at = 0.0
        self.idle_since = 0.0
        self.loading_until: float | None = None
        self.bound_at = 0.0
        self.invocations = 0
        self.baseline_bytes = 0
        self.used_bytes = 0
        self.memory_strikes = 0
        self._fds = spare
        self._loop = loop
        self._clock = clock
        self._pool = pool
        self._next = 1
        self._last_index = 0
        self._buffer = wire.FrameBuffer(wire.FROM_WORKER_BYTES_MAX)
        self._unsent: deque[memoryview] = deque()
        self._kill: tuple[str, str, bool] | None = None
        self._is_eof = False
        self._is_closed = False
        loop.add_reader(spare.read_fd, self._readable)

    # --- What the supervisor does to it

    def become(self, state: WorkerState) -> None:
        """Change state by the table."""
        if state is not self.state:
            check_transition(self.state, state)
            self.state = state

    def load(self, frame: wire.Load, *, listener: Listener, bound_to: str) -> None:
        """Bind for life, or wake. Invocations may be sent at once; they wait behind the load."""
        now = self._clock.monotonic()
        self.become(WorkerState.LOADING)
        self.listener, self.bound_to = listener, bound_to
        self.bound_at = self.bound_at or now
        self.timeout_ms = frame.timeout_ms
        compile_ms = COMPILE_MS_MAX if frame.source is not None else 0
        self.loading_until = now + (frame.timeout_ms + compile_ms + GRACE_MS) / 1000
        self.progress_at = self.busy_since = self.idle_since = now
        self._write(frame.pack())

    def send(self, runs: Sequence[Run], flags: int = 0) -> None:
        """Give it deliveries, as one frame; with `INVOKE_BATCH` they are one invocation."""
        if not self.in_flight:
            self.busy_since = self.progress_at = self._clock.monotonic()
        events = wire.Events.join([run.events for run in runs])
        first = self._next
        for run in runs:
            run.first = self._next
            run.remaining = (1 << len(run)) - 1
            self._next += len(run)
            self.runs.append(run)
        self.in_flight += len(events.sizes)
        self.holds_suspect = bool(flags & wire.INVOKE_ALONE)
        if self.state is WorkerState.IDLE:
            self.become(WorkerState.BUSY)
        self._write(
            wire.Invoke(
                first, flags, events.types, events.message_ids, events.user_keys, events.sizes, events.bodies
            ).pack()
        )

    def suspend(self) -> None:
        """Have it forget the function and give its memory back."""
        self.become(WorkerState.SUSPENDED)
        self._write(wire.Suspend().pack())

    def drop_caches(self) -> None:
        """Have it empty its cache."""
        self._write(wire.DropCaches().pack())

    def stop(self) -> None:
        """Let it end once it has nothing left to do."""
        if self.state in {WorkerState.DRAINING, WorkerState.STOPPED, WorkerState.KILLED}:
            return
        if self.in_flight or self.state is WorkerState.LOADING:
            self.become(WorkerState.DRAINING)
            return
        self.become(WorkerState.STOPPED)
        self.idle_since = self._clock.monotonic()
        self._write(wire.Stop().pack())

    def kill(self, reason: str, explanation: str, *, is_attack: bool = False) -> None:
        """End it now; `listener.gone` follows when the process is dead. Of one that is gone already, nothing is left to end."""
        if self._is_closed:
            return
        if self._kill is None:
            self._kill = (reason, explanation, is_attack)
        if self.state is not WorkerState.KILLED:
            self.become(WorkerState.KILLED)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fds.pidfd, signal.SIGKILL)

    # --- Is it still moving

    def check_deadline(self, now: float) -> None:
        """Kill it if an invocation, or loading, has outlived its deadline."""
        if self.state is WorkerState.STOPPED:
            if now - self.idle_since > 1.0:
                self.kill("stopped", "didn't end when it was asked to")
            return
        if self.loading_until is not None:
            if now > self.loading_until:
                self.kill("load_failed", f"loading the module took longer than {self.timeout_ms} ms")
            return
        if not self.in_flight:
            return
        index = self.page_index()
        if index != self._last_index:
            self._last_index, self.progress_at = index, now
        elif (now - self.progress_at) * 1000 > self.timeout_ms + GRACE_MS:
            self.kill("timeout", f"took longer than {self.timeout_ms} ms")

    def page_index(self) -> int:
        """The sequence number that the worker says it started last; hostile until compared with what it holds."""
        offset = wire.PAGE_STARTED_OFFSET
        return int.from_bytes(self._fds.page[offset : offset + 8], "little")

    def running_us(self, now: float) -> float:
        """How long the worker has been without progress, if it holds anything."""
        return (now - self.progress_at) * 1e6 if self.in_flight and self.loading_until is None else 0.0

    def allow_memory(self, memory_mib: int) -> None:
        """Lower its address space to what it has now and `memory_mib` more, from outside."""
        self._pool.limit_memory(self, memory_mib)

    # --- Pipes

    def _write(self, data: bytes) -> None:
        if self._is_eof or self.state is WorkerState.KILLED:
            return
        view = memoryview(data)
        if not self._unsent:
            try:
                view = view[os.write(self._fds.write_fd, view) :]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                return
            if not view:
                return
            self._loop.add_writer(self._fds.write_fd, self._writable)
        self._unsent.append(view)

    def _writable(self) -> None:
        try:
            while self._unsent:
                written = os.writev(self._fds.write_fd, list(self._unsent)[:64])
                while written:
                    head = self._unsent[0]
                    if written < len(head):
                        self._unsent[0] = head[written:]
                        break
                    written -= len(head)
                    self._unsent.popleft()
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent.clear()
        self._loop.remove_writer(self._fds.write_fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._fds.read_fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._is_eof = True
            self._loop.remove_reader(self._fds.read_fd)
            return
        if self._kill is not None and self._kill[2]:
            return
        try:
            for body in self._buffer.feed(data):
                self._take(wire.decode_from_worker(body))
        except wire.WireError as error:
            self.kill("crashed", f"the worker broke the protocol: {error}", is_attack=True)

    def _take(self, frame: wire.Frame) -> None:
        if isinstance(frame, wire.Outcomes):
            self._take_outcomes(frame)
        elif isinstance(frame, wire.Ready) and not self.is_ready:
            self.is_ready = True
            self._pool.became_ready(self, frame)
        elif isinstance(frame, wire.Loaded) and self.loading_until is not None and self.listener:
            self._take_loaded(frame, self.listener)
        elif isinstance(frame, wire.Refused) and self.loading_until is not None and self.listener:
            self.loading_until = None
            self._kill = ("refused", "the module would not load", False)
            self.listener.refused(self, frame)
        elif isinstance(frame, wire.Suspended) and self.state is not WorkerState.SPARE:
            return
        else:
            raise wire.WireError(f"{type(frame).__name__} out of turn")

    def _take_loaded(self, frame: wire.Loaded, listener: Listener) -> None:
        handlers = wire.unpack_handlers(frame.handlers)
        self.is_async = any(handler.is_async for handler in handlers)
        self.loading_until = None
        self.busy_since = self.progress_at = self._clock.monotonic()
        if self.state is WorkerState.LOADING:
            self.become(WorkerState.BUSY if self.in_flight else WorkerState.IDLE)
        listener.loaded(self, frame)
        if self.state is WorkerState.DRAINING and not self.in_flight:
            self.stop_drained()

    def _take_outcomes(self, frame: wire.Outcomes) -> None:
        if self.listener is None:
            raise wire.WireError("outcomes from a worker that holds nothing")
        ranges, rows = wire.unpack_outcomes(frame)
        delivered = [piece for first, count in ranges for piece in self._end_range(first, count)]
        failures = [(*self._end_one(row.sequence), row) for row in rows]
        while self.runs and not self.runs[0].remaining:
            self.runs.popleft()
        self.progress_at = self._clock.monotonic()
        self.holds_suspect = self.holds_suspect and bool(self.in_flight)
        self.listener.ended(self, delivered, failures)
        if not self.in_flight:
            self.idle_since = self.progress_at
            if self.state is WorkerState.BUSY:
                self.become(WorkerState.IDLE)
            elif self.state is WorkerState.DRAINING:
                self.stop_drained()

    def stop_drained(self) -> None:
        """It has finished what it held: let it end."""
        self.become(WorkerState.STOPPED)
        self.idle_since = self._clock.monotonic()
        self._write(wire.Stop().pack())

    def _run_of(self, sequence: int) -> Run:
        runs = self.runs
        if runs and runs[0].first <= sequence < runs[0].first + len(runs[0]):
            return runs[0]
        at = bisect_right(runs, sequence, key=lambda run: run.first) - 1
        if at < 0 or sequence >= runs[at].first + len(runs[at]):
            raise wire.WireError(f"an outcome of number {sequence}, which the worker doesn't hold")
        return runs[at]

    def _end_range(self, first: int, count: int) -> list[tuple[Run, int, int]]:
        if count < 1 or count > self.in_flight:
            raise wire.WireError("a range of outcomes that is empty or larger than what the worker holds")
        pieces = []
        while count:
            run = self._run_of(first)
            offset = first - run.first
            taken = min(count, len(run) - offset)
            self._clear(run, ((1 << taken) - 1) << offset, taken)
            pieces.append((run, offset, taken))
            first, count = first + taken, count - taken
        return pieces

    def _end_one(self, sequence: int) -> tuple[Run, int]:
        run = self._run_of(sequence)
        self._clear(run, 1 << (sequence - run.first), 1)
        return run, sequence - run.first

    def _clear(self, run: Run, bits: int, count: int) -> None:
        if run.remaining & bits != bits:
            raise wire.WireError("an outcome was reported twice")
        run.remaining ^= bits
        self.in_flight -= count
        self.invocations += count

    # --- Its end

    def exited(self, kind: str, number: int) -> None:
        """The zygote reaped it: `exit` and a status, or `signal` and its number; `zygote` if that died too."""
        if not self._is_eof:
            while not self._is_eof and self.state is not WorkerState.KILLED:
                before = self.in_flight
                self._readable()
                if self.in_flight == before:
                    break
        death = self._death(kind, number)
        self._close()
        if self.state in LIVE or self.state is WorkerState.SPARE:
            self.become(WorkerState.KILLED)
        if self.listener is not None:
            self.listener.gone(self, death)

    def _death(self, kind: str, number: int) -> Death:
        held = [run for run in self.runs if run.remaining]
        if kind == "zygote":
            return Death("zygote", "the process that all workers come from died", held)
        if self._kill is not None:
            reason, explanation, is_attack = self._kill
        elif self.state is WorkerState.STOPPED:
            reason, explanation, is_attack = "stopped", "", False
        else:
            is_attack = kind == "signal" and number == signal.SIGSYS
            name = (
                signal.Signals(number).name
                if kind == "signal" and number in set(signal.Signals)
                else str(number)
            )
            reason, explanation = "crashed", f"the worker died under it ({kind} {name})"
        culprits = [] if reason in {"stopped", "refused", "load_failed"} else self._culprits(held)
        return Death(reason, explanation, held, culprits, is_attack)

    def _culprits(self, held: list[Run]) -> list[tuple[Run, int]]:
        """Those that were being run: the last started, or of an async worker all started and not ended."""
        index = self.page_index()
        started = [
            (run, offset)
            for run in held
            for offset in range(len(run))
            if run.remaining >> offset & 1 and run.first + offset <= index
        ]
        if self.is_async:
            return started
        return [entry for entry in started if entry[0].first + entry[1] == index] or started[-1:]

    def _close(self) -> None:
        for remove, fd in (
            (self._loop.remove_reader, self._fds.read_fd),
            (self._loop.remove_writer, self._fds.write_fd),
        ):
            with contextlib.suppress(OSError, ValueError):
                remove(fd)
        self._fds.close()
        self._is_eof = self._is_closed = True


class PoolEvents(Protocol):
    """What a worker tells the pool."""

    def became_ready(self, worker: Worker, frame: wire.Ready) -> None:
        """A spare is jailed and waits."""

    def limit_memory(self, worker: Worker, memory_mib: int) -> None:
        """Lower its address space."""

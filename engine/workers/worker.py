"""One worker process as the supervisor sees it: its pipes, what it may say now, and whether it still moves.

    load(…) ──► send(runs) ──► listener.ended(…)      what it holds is known by sequence number
                          └──► listener.gone(…)       whatever it still held, with a culprit if there is one

Whatever the worker sends is hostile until checked: a frame out of turn, an outcome of a delivery that it doesn't
hold, or one reported twice ends it. Nothing is resynchronised, and nothing it sends after that is looked at.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

from engine.workers.holdings import Holdings
from engine.workers.outbox import Outbox
from engine.workers.progress import GRACE_MS, Progress
from engine.workers.states import LIVE, WorkerState, check_transition
from engine.workers.telling import Death
from sandbox import wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.workers.holdings import Run
    from engine.workers.telling import Listener, PoolEvents
    from engine.workers.zygote import SpareFds

COMPILE_MS_MAX: Final = 10_000
"""For compiling a source; loading has the function's own timeout besides."""
READY_S_MAX: Final = 10.0
"""From fork to `Ready`."""
ANSWER_S_MAX: Final = 5.0
"""For what costs a worker no thought: the rest of a frame it began, `Suspended`."""
END_S_MAX: Final = 1.0
"""From `Stop`, or from the end of its pipe, to the end of the process."""
READ_BYTES: Final = 256 * 1024


class Worker:
    """Owner of one worker's pipes, pidfd and shared page."""

    def __init__(
        self, spare: SpareFds, *, loop: asyncio.AbstractEventLoop, clock: Clock, pool: PoolEvents
    ) -> None:
        self.id = spare.id
        self.pid = spare.pid
        self.state = WorkerState.SPARE
        self.is_ready = False
        self.policy_key = ""
        """Names interpreter and policy of the code that it compiles and loads; known once it is ready."""
        self.listener: Listener | None = None
        self.bound_to = ""
        self.is_async = False
        self.is_used_once = False
        """It ends by itself when whoever took it is done: nobody asks it to move off."""
        self.timeout_ms = 5_000
        self.holds_suspect = False
        self.busy_since = 0.0
        self.held_since = 0.0
        """It has had something to do without a break since then."""
        self.idle_since = 0.0
        self.loading_until: float | None = None
        self.bound_at = 0.0
        self.baseline_bytes = 0
        self.used_bytes = 0
        self.were_caches_dropped = False
        self._fds = spare
        self.give_http = spare.give_http
        self._loop = loop
        self._clock = clock
        self._pool = pool
        self._held = Holdings()
        self._progress = Progress()
        self._outbox = Outbox(spare.write_fd, loop=loop)
        self._buffer = wire.FrameBuffer(wire.READY_BYTES_MAX)
        self._owes_code = False
        self._finds_libraries = False
        self._owes_suspended = 0
        self._answer_by: float | None = clock.monotonic() + READY_S_MAX
        self._half_frame_since: float | None = None
        self._end_by: float | None = None
        self._kill: tuple[str, str, bool] | None = None
        self._is_deaf = False
        self._is_closed = False
        loop.add_reader(spare.read_fd, self._readable)

    @property
    def in_flight(self) -> int:
        """Deliveries it holds."""
        return self._held.in_flight

    @property
    def invocations(self) -> int:
        """Deliveries it has ended."""
        return self._held.ended

    @property
    def is_full(self) -> bool:
        """It doesn't read what it was given already."""
        return self._outbox.is_full

    # --- What the supervisor does to it

    def become(self, state: WorkerState) -> None:
        """Change state by the table."""
        if state is not self.state:
            check_transition(self.state, state)
            self.state = state

    def bind(self, *, address_bytes: int, baseline_bytes: int) -> None:
        """Have it limit its address space, for good; what it uses is counted from `baseline_bytes` on."""
        self.baseline_bytes = baseline_bytes
        self._write(wire.Bind(address_bytes))

    def load(self, frame: wire.Load, *, listener: Listener, bound_to: str) -> None:
        """Bind for life, or wake. Invocations may be sent at once; they wait behind the load."""
        now = self._clock.monotonic()
        self.become(WorkerState.LOADING)
        self.listener, self.bound_to = listener, bound_to
        self.bound_at = self.bound_at or now
        self.timeout_ms = frame.timeout_ms
        self._owes_code, self._finds_libraries = frame.source is not None, frame.finds_libraries
        compile_ms = COMPILE_MS_MAX if self._owes_code else 0
        self.loading_until = now + (frame.timeout_ms + compile_ms + GRACE_MS) / 1000
        self._buffer.bytes_max = wire.LOADED_BYTES_MAX
        self.busy_since = self.idle_since = now
        self._write(frame)

    def send(self, runs: Sequence[Run], flags: int = 0) -> None:
        """Give it deliveries, as one frame; with `INVOKE_BATCH` they are one invocation."""
        if not self.in_flight:
            self.busy_since = self._clock.monotonic()
            self._progress.begin(self.busy_since)
        events = wire.Events.join([run.events for run in runs])
        first = self._held.take(runs, as_batch=bool(flags & wire.INVOKE_BATCH))
        self.holds_suspect = bool(flags & wire.INVOKE_ALONE)
        if self.state is WorkerState.IDLE:
            self.become(WorkerState.BUSY)
            self.held_since = self.busy_since
        self._write(
            wire.Invoke(
                first, flags, events.types, events.message_ids, events.user_keys, events.sizes, events.bodies
            )
        )

    def suspend(self) -> None:
        """Have it forget the function and give its memory back."""
        self.become(WorkerState.SUSPENDED)
        self._owes_suspended += 1
        self._answer_by = self._clock.monotonic() + ANSWER_S_MAX
        self._write(wire.Suspend())

    def drop_caches(self) -> None:
        """Have it empty its cache."""
        self.were_caches_dropped = True
        self._write(wire.DropCaches())

    def stop(self) -> None:
        """Let it end once it has nothing left to do."""
        if self.state in {WorkerState.DRAINING, WorkerState.STOPPED, WorkerState.KILLED}:
            return
        if self.in_flight or self.state is WorkerState.LOADING:
            self.become(WorkerState.DRAINING)
        else:
            self._stop()

    def _stop(self) -> None:
        self.become(WorkerState.STOPPED)
        self._end_by = self._clock.monotonic() + END_S_MAX
        self._write(wire.Stop())

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
        """Kill it if an invocation, loading, or an answer it owes, has outlived its deadline."""
        if self._end_by is not None:
            if now > self._end_by:
                self._kill_undead()
        elif self._half_frame_since is not None and now - self._half_frame_since > ANSWER_S_MAX:
            self._attacks("it began a frame and doesn't end it")
        elif self._answer_by is not None and now > self._answer_by:
            self._attacks("it doesn't answer")
        elif self.loading_until is not None:
            if now > self.loading_until:
                self.kill("load_failed", f"loading the module took longer than {self.timeout_ms} ms")
        elif self.in_flight:
            self._check_progress(now)

    def _kill_undead(self) -> None:
        if self.state is WorkerState.STOPPED:
            self.kill("stopped", "didn't end when it was asked to")
        else:
            self._attacks("it closed its pipe and goes on")

    def _check_progress(self, now: float) -> None:
        try:
            self._progress.see(self.page_index(), now, last=self._held.last, timeout_ms=self.timeout_ms)
        except wire.WireError as error:
            self._attacks(str(error))
            return
        if self._progress.is_late(
            now, oldest=self._held.oldest(), timeout_ms=self.timeout_ms, is_async=self.is_async
        ):
            self.kill("timeout", f"took longer than {self.timeout_ms} ms")

    def page_index(self) -> int:
        """The sequence number that the worker says it started last; hostile until compared with what it holds."""
        offset = wire.PAGE_STARTED_OFFSET
        return int.from_bytes(self._fds.page[offset : offset + 8], "little")

    def told_busy_us(self) -> int:
        """How long its `def` handlers have run, as the worker says; hostile."""
        offset = wire.PAGE_BUSY_OFFSET
        return int.from_bytes(self._fds.page[offset : offset + 8], "little")

    def has_fetched(self) -> bool:
        """It has begun a fetch, as it says; hostile."""
        offset = wire.PAGE_FETCHES_OFFSET
        return any(self._fds.page[offset : offset + 8])

    def running_us(self, now: float) -> float:
        """How long it has been without progress, if it holds anything. The page is looked at anew: the supervisor may be what is late."""
        is_still = self.in_flight and self.loading_until is None and self.page_index() == self._progress.index
        return (now - self._progress.moved_at) * 1e6 if is_still else 0.0

    # --- Pipes

    def _write(self, frame: wire.Frame) -> None:
        if self.state is not WorkerState.KILLED:
            self._outbox.write(frame.pack())

    def _readable(self) -> None:
        """Take what has arrived. At the end of the pipe the process should end too."""
        try:
            data = os.read(self._fds.read_fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._turn_deaf()
            self._end_by = self._end_by or self._clock.monotonic() + END_S_MAX
            return
        try:
            for body in self._buffer.feed(data):
                self._half_frame_since = None
                self._take(wire.decode_from_worker(body))
                if self._is_deaf:
                    return
        except wire.WireError as error:
            self._attacks(str(error))
            return
        if self._buffer.pending_bytes and self._half_frame_since is None:
            self._half_frame_since = self._clock.monotonic()

    def _turn_deaf(self) -> None:
        if not self._is_deaf:
            self._is_deaf = True
            self._loop.remove_reader(self._fds.read_fd)

    def _attacks(self, how: str) -> None:
        """Nothing honest does this: it ends, and nothing more is heard of it."""
        self._turn_deaf()
        self.kill("crashed", f"the worker broke the protocol: {how}", is_attack=True)

    def _take(self, frame: wire.Frame) -> None:
        is_answering_load = self.loading_until is not None and not self._owes_suspended
        if isinstance(frame, wire.Outcomes):
            self._take_outcomes(frame)
        elif isinstance(frame, wire.Ready) and not self.is_ready:
            self.is_ready = True
            self.policy_key = frame.policy_key
            self._answer_by = None
            self._pool.became_ready(self, frame)
        elif isinstance(frame, wire.Loaded) and is_answering_load:
            self._take_loaded(frame)
        elif isinstance(frame, wire.Refused) and is_answering_load:
            self._take_refused(frame)
        elif isinstance(frame, wire.Suspended) and self._owes_suspended:
            self._owes_suspended -= 1
            self._answer_by = None
        else:
            raise wire.WireError(f"{type(frame).__name__} out of turn")

    def _take_loaded(self, frame: wire.Loaded) -> None:
        if (frame.code is not None) is not self._owes_code:
            raise wire.WireError("compiled code that nobody asked for, or none")
        if len(frame.logs) > wire.DETAIL_BYTES_MAX:
            raise wire.WireError("more console lines than are kept")
        assert self.listener is not None
        self.is_async = any(handler.is_async for handler in wire.unpack_handlers(frame.handlers))
        self.loading_until = None
        self._buffer.bytes_max = wire.OUTCOMES_BYTES_MAX
        self.busy_since = self.held_since = self._clock.monotonic()
        self._progress.begin(self.busy_since)
        if self.state is WorkerState.LOADING:
            self.become(WorkerState.BUSY if self.in_flight else WorkerState.IDLE)
        self.listener.loaded(self, frame)
        if self.state is WorkerState.DRAINING and not self.in_flight:
            self._stop()

    def _take_refused(self, frame: wire.Refused) -> None:
        is_short = len(frame.detail) <= wire.DIAGNOSTICS_BYTES_MAX
        if not is_short or frame.stage not in wire.REFUSAL_STAGES:
            raise wire.WireError("a refusal that is too long, or of no stage")
        if frame.stage == "libraries":
            wire.unpack_libraries(frame.detail)
            if not self._finds_libraries:
                raise wire.WireError("libraries that nobody asked for")
        assert self.listener is not None
        self.loading_until = None
        self._turn_deaf()
        self.kill("refused", "the module would not load")
        self.listener.refused(self, frame)

    def _take_outcomes(self, frame: wire.Outcomes) -> None:
        if self.listener is None or self.loading_until is not None:
            raise wire.WireError("outcomes from a worker that has loaded nothing")
        ended = self._held.end(frame)
        now = self._clock.monotonic()
        self._progress.reported(now)
        self.holds_suspect = self.holds_suspect and bool(self.in_flight)
        self.listener.ended(self, ended.delivered, ended.failures)
        if not self.in_flight:
            self.idle_since = now
            if self.state is WorkerState.BUSY:
                self.become(WorkerState.IDLE)
            elif self.state is WorkerState.DRAINING:
                self._stop()

    # --- Its end

    def exited(self, kind: str, number: int) -> None:
        """The zygote reaped it: `exit` and a status, or `signal` and its number; `zygote` if that died too."""
        if not self._is_deaf:
            # What it still reported is in the pipe, which holds less than one read takes.
            self._readable()
        death = self._death(kind, number)
        self._close()
        if self.state in LIVE or self.state is WorkerState.SPARE:
            self.become(WorkerState.KILLED)
        if self.listener is not None:
            self.listener.gone(self, death)

    def _death(self, kind: str, number: int) -> Death:
        held = self._held.open_runs()
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
        culprits = [] if reason in {"stopped", "egress", "refused", "load_failed"} else self._culprits()
        return Death(reason, explanation, held, culprits, is_attack)

    def _culprits(self) -> list[tuple[Run, int]]:
        """Those that were being run: the invocation started last, or of an async worker all started and not ended."""
        index = self.page_index()
        return self._held.started(index) if self.is_async else self._held.running(index)

    def _close(self) -> None:
        self._turn_deaf()
        self._outbox.close()
        self._fds.close()
        self._is_closed = True

"""A function tried in a spare like any other code: for `deploy`, and for `test`.

The worker is used once. Its deadlines and its end are the pool's business as ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgpack

from engine.egress.access import TRACE_BODY_BYTES, Lists, access_of
from engine.errors import FunctionRefused
from engine.workers.holdings import Run
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.egress.access import Access
    from engine.egress.supervise import Egress
    from engine.model import Limits
    from engine.workers.pool import Pool
    from engine.workers.telling import Death
    from engine.workers.worker import Worker


@dataclass(slots=True)
class Loading:
    """What a module turned out to be."""

    code: bytes
    handlers: tuple[wire.Handler, ...]
    policy_key: str
    """What the code belongs to."""
    libraries: tuple[str, ...] = ()
    """Those that it imports, of which the operator allows."""
    logs: list[Any] = field(default_factory=list)


class Trial:
    """Listener of one worker that is used once; of another one before, if that finds that libraries are imported."""

    def __init__(self, pool: Pool, egress: Egress) -> None:
        self._pool = pool
        self._egress = egress
        self._worker: Worker | None = None
        self._libraries: tuple[str, ...] = ()
        self._loading: asyncio.Future[Loading | None] = asyncio.get_running_loop().create_future()
        self._endings: dict[int, asyncio.Future[tuple[str, bytes]]] = {}
        self._refusal: FunctionRefused | None = None

    async def load(
        self,
        *,
        source: str,
        filename: str,
        settings: bytes,
        limits: Limits,
        mocks: Sequence[dict[str, Any]] | None = None,
        trace_body_bytes: int = TRACE_BODY_BYTES,
        is_blanked: bool = True,
        pinned_ms: int | None = None,
        seed: int | None = None,
    ) -> Loading:
        """Compile and load in a fresh worker. Raises `FunctionRefused` with diagnostics or the error.

        With `mocks` its HTTP is answered from these (`engine.egress.mocks`), and nothing is called.
        """
        # A destination of its own, with a number that no deployed one has; whether it batches isn't known yet.
        access = replace(
            access_of(-1, settings=settings, limits=limits, is_batching=True, lists=Lists()),
            mocks=None if mocks is None else tuple(mocks),
            trace_body_bytes=trace_body_bytes,
            is_blanked=is_blanked,
        )
        frame = wire.Load(
            None,
            source,
            filename,
            settings,
            limits.timeout_ms,
            limits.concurrency,
            limits.console_bytes,
            b"",
            [],
            pinned_ms,
            seed,
            finds_libraries=True,
        )
        loading = await self._load_in_spare(frame, limits, access)
        if loading is None:
            self._loading = asyncio.get_running_loop().create_future()
            loading = await self._load_in_spare(replace(frame, finds_libraries=False), limits, access)
        assert loading is not None  # it was not asked for libraries again
        return loading

    async def _load_in_spare(self, frame: wire.Load, limits: Limits, access: Access) -> Loading | None:
        """None if it imports libraries that this worker hasn't, which ends with that: they are in `_libraries` now."""
        worker = self._worker = await self._pool.next_spare(self._libraries)
        worker.is_used_once = True
        self._pool.bind(worker, limits.memory_mib, replace(access, destination=-worker.id))
        worker.load(frame, listener=self, bound_to="(trial)")
        return await self._loading

    async def invoke(self, events: wire.Events, *, batch: bool) -> list[tuple[str, wire.Detail]]:
        """Run the events one after the other, or as one batch; their outcome codes and details."""
        if batch:
            return await self._send([events], wire.INVOKE_BATCH)
        results = []
        for at in range(len(events.sizes)):
            results += await self._send([events.slice(at, at + 1)], wire.INVOKE_ALONE)
        return results

    async def _send(self, parts: list[wire.Events], flags: int) -> list[tuple[str, wire.Detail]]:
        assert self._worker is not None
        run = Run(self, parts[0], 0)
        futures = [asyncio.get_running_loop().create_future() for _ in range(len(run))]
        self._endings = dict(enumerate(futures))
        if self._refusal is not None:
            raise self._refusal
        self._worker.send([run], flags | wire.INVOKE_VERBOSE)
        endings = await asyncio.gather(*futures)
        traces = await self._pull([run.invocation(at) for at in range(len(run))])
        return [
            (
                code,
                replace(wire.Detail.unpack(detail), requests=traces.pop(run.invocation(at), [])),
            )
            for at, (code, detail) in enumerate(endings)
        ]

    async def _pull(self, invocations: list[int]) -> dict[int, list[Any]]:
        assert self._worker is not None
        traces: asyncio.Future[dict[int, list[Any]]] = asyncio.get_running_loop().create_future()
        self._egress.pull(self._worker.id, invocations, traces.set_result)
        return await traces

    def mock(self, mocks: Sequence[dict[str, Any]]) -> None:
        """Answer its HTTP from these from now on. Raises `UsageError`."""
        assert self._worker is not None
        self._egress.mock(self._worker.id, mocks)

    def close(self) -> None:
        """The worker ends."""
        if self._worker is not None:
            self._worker.kill("stopped", "the trial is over")

    # --- Listener

    def loaded(self, worker: Worker, frame: wire.Loaded) -> None:
        """The module is loaded."""
        assert frame.code is not None  # it was sent a source
        if not self._loading.done():
            handlers = wire.unpack_handlers(frame.handlers)
            logs = _unpack_list(frame.logs)
            self._loading.set_result(Loading(frame.code, handlers, worker.policy_key, self._libraries, logs))

    def refused(self, worker: Worker, frame: wire.Refused) -> None:  # noqa: ARG002  the listener's signature
        """The module didn't compile or load, or not in a worker without libraries."""
        if frame.stage == "libraries":
            self._libraries, self._worker = wire.unpack_libraries(frame.detail), None
            self._loading.set_result(None)
            return
        stage = {"compile": "does not compile", "handlers": "has handlers that can't be used"}.get(
            frame.stage, "fails while it is loaded"
        )
        if not self._loading.done():
            self._loading.set_exception(
                FunctionRefused(
                    f"the function {stage}",
                    remedy="mend the lines named above; what ran before goes on running",
                    data=_refusal_data(frame),
                )
            )

    def ended(
        self,
        worker: Worker,  # noqa: ARG002  the listener's signature
        delivered: list[tuple[Run, int, int]],
        failures: list[tuple[Run, int, wire.Failure]],
    ) -> None:
        """Outcomes."""
        for _, offset, count in delivered:
            for at in range(offset, offset + count):
                self._end(at, "delivered", wire.Detail().pack())
        for _, offset, row in failures:
            self._end(offset, wire.OUTCOME_CODES[row.code], row.detail)

    def _end(self, at: int, code: str, detail: bytes) -> None:
        future = self._endings.get(at)
        if future is not None and not future.done():
            future.set_result((code, detail))

    def gone(self, worker: Worker, death: Death) -> None:
        """The process has ended."""
        if worker is not self._worker:
            return
        error = {"code": death.reason, "type": "WorkerDied", "message": death.explanation, "traceback": []}
        self._refusal = FunctionRefused(
            f"the function was ended: {death.explanation}",
            remedy="see what it does while it is loaded; --timeout-ms gives it longer",
            data={"error": {**error, "line": None, "column": None}},
        )
        if not self._loading.done():
            self._loading.set_exception(self._refusal)
        code = death.reason if death.reason in wire.CODE_INDEX else "crashed"
        for at in self._endings:
            self._end(
                at, code, wire.Detail(error={**error, "code": code, "line": None, "column": None}).pack()
            )


def _refusal_data(frame: wire.Refused) -> dict[str, Any]:
    if frame.stage == "load":
        detail = wire.Detail.unpack(frame.detail)
        return {"error": detail.error, "logs": detail.logs}
    return {"diagnostics": _unpack_list(frame.detail, bytes_max=wire.DIAGNOSTICS_BYTES_MAX)}


def _unpack_list(packed: bytes, *, bytes_max: int = wire.DETAIL_BYTES_MAX) -> list[Any]:
    try:
        value = wire.unpack_opaque(packed, bytes_max=bytes_max)
    except wire.WireError:
        return []
    return value if isinstance(value, list) else []


def result_map(code: str, detail: wire.Detail) -> dict[str, Any]:
    """What `engine test --json` prints of one event."""
    error = detail.error
    if error is None and code not in {"delivered", "filtered"}:
        error = {"code": code, "type": code, "message": "", "line": None, "column": None, "traceback": []}
    return {
        "ok": code in {"delivered", "filtered", "dropped"},
        "result": detail.result,
        "error": None if code == "delivered" else error,
        "logs": detail.logs,
        "requests": detail.requests,
        "duration_ms": round(detail.duration_us / 1000, 3),
    }


def pack_settings(settings: dict[str, Any]) -> bytes:
    """A msgpack map: name → value."""
    packed: bytes = msgpack.packb(settings)
    return packed

"""Outcomes that have ended and aren't sent yet, and what is said of those that weren't simply delivered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sandbox import wire
from sandbox.runtime import handler
from sandbox.worker.pipe import leave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.runtime.context import Invocation
    from sandbox.worker.masking import Mask
    from sandbox.worker.pipe import Pipe
    from sandbox.worker.reserve import Reserve
    from sandbox.worker.ticker import Hold

BYTES_MAX: Final = 512 * 1024
"""Details are sent before more of them are kept."""
_DELIVERED: Final = wire.CODE_INDEX["delivered"]
_FILTERED: Final = wire.CODE_INDEX["filtered"]
_NOTHING: Final = wire.Detail().pack()


class Report:
    """What a module's invocations came to. A tick may send it at any time but under `hold`."""

    def __init__(self, pipe: Pipe, hold: Hold, filename: str, *, reserve: Reserve, mask: Mask) -> None:
        self._pipe = pipe
        self._reserve = reserve
        self._hold = hold
        self._filename = filename
        self._mask = mask
        self._ranges: list[tuple[int, int]] = []
        self._single: list[int] = []
        self._rows: list[wire.Failure] = []
        self._row_bytes = 0

    def delivered(self, first: int, count: int) -> None:
        """`count` events from number `first` on, with nothing to say of them."""
        self._ranges.append((first, count))

    def delivered_one(self, sequence: int) -> None:
        """One event, in any order."""
        self._single.append(sequence)

    def delivered_in_full(self, sequence: int, invocation: Invocation, result: Any, begun: float) -> None:
        """One event and its particulars, for whoever watches (`wire.INVOKE_VERBOSE`)."""
        with self._hold:
            shown = handler.show_result(result)  # first: it may run the author's code, which may print
            invocation.warn_of_unseen()
            logs, dropped = invocation.take_logs()
            detail = wire.Detail(
                logs=logs, logs_dropped_bytes=dropped, result=shown, duration_us=_since(begun)
            )
            self._row(sequence, _DELIVERED, 0, detail.pack())

    def filtered(self, sequence: int) -> None:
        """The destination's filter kept one event from its handler."""
        with self._hold:
            self._row(sequence, _FILTERED, 0, _NOTHING)

    def failed(
        self, sequences: Sequence[int], invocation: Invocation, error: BaseException, begun: float
    ) -> None:
        """The invocation of these events raised `error`; the first of them carries what was printed.

        If memory is used up, so that even this couldn't be said without the reserve, the worker ends after it.
        """
        if isinstance(error, MemoryError):
            self._reserve.release()
        with self._hold:
            code = handler.code_of(error)
            try:
                self._describe(sequences, invocation, error, code, begun)
            except MemoryError as out:
                self._reserve.release()
                self._describe(sequences, invocation, out, "memory_limit", begun)
            error.__traceback__ = None
            if not self._reserve.take():
                self.flush()
                leave()

    def make_room(self) -> None:
        """Memory is used up: use the reserve."""
        self._reserve.release()

    def memory_ran_out(self, running: Sequence[tuple[Sequence[int], Invocation]]) -> NoReturn:
        """So little was left that no handler of the error could be entered: say that of what runs, and end.

        After `make_room`, without which there is none to say what runs.
        """
        with self._hold:
            for sequences, invocation in running:
                self._describe(sequences, invocation, MemoryError(), "memory_limit", time.monotonic())
            self.flush()
        leave()

    def _describe(
        self, sequences: Sequence[int], invocation: Invocation, error: BaseException, code: str, begun: float
    ) -> None:
        after_ms = handler.after_ms_of(error)
        described = handler.describe(error, code, self._filename)
        invocation.warn_of_unseen()
        logs, dropped = invocation.take_logs()
        detail = wire.Detail(
            error=described, logs=logs, logs_dropped_bytes=dropped, duration_us=_since(begun)
        )
        packed = detail.pack()
        bare = wire.Detail(error=described).pack() if len(sequences) > 1 else b""
        for at, sequence in enumerate(sequences):
            self._row(sequence, wire.CODE_INDEX[code], after_ms, bare if at else packed)

    def batch(
        self, sequences: Sequence[int], invocation: Invocation, result: Any, begun: float, *, in_full: bool
    ) -> None:
        """A batch handler returned `result`. Raises `ValueError` if that is no answer, and reports nothing."""
        outcomes = handler.batch_outcomes(result, len(sequences))
        with self._hold:
            shown = handler.show_result(result) if in_full else None
            invocation.warn_of_unseen()
            logs, dropped = invocation.take_logs()
            for at, (sequence, (code, message)) in enumerate(zip(sequences, outcomes, strict=True)):
                if code == "delivered" and not in_full:
                    self._single.append(sequence)
                    continue
                detail = wire.Detail(
                    error=None if code == "delivered" else handler.describe_status(code, message),
                    logs=logs,
                    logs_dropped_bytes=dropped,
                    result=None if at else shown,
                    duration_us=_since(begun),
                )
                logs, dropped = [], 0
                self._row(sequence, wire.CODE_INDEX[code], 0, detail.pack())

    def _row(self, sequence: int, code: int, after_ms: int, detail: bytes) -> None:
        self._rows.append(wire.Failure(sequence, code, after_ms, self._mask.over(detail)))
        self._row_bytes += len(detail)
        if self._row_bytes > BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Send what has ended, if anything has."""
        with self._hold:  # before looking: a tick in between would send the same
            if not (self._ranges or self._single or self._rows):
                return
            ranges, rows = [*self._ranges, *_ranges_of(self._single)], self._rows[:]
            # Emptied and not replaced: whoever is adding to one of them adds to what is sent next.
            for sent in (self._ranges, self._single, self._rows):
                sent.clear()
            self._row_bytes = 0
            self._pipe.send(wire.pack_outcomes(ranges, rows))


def _since(begun: float) -> int:
    return int((time.monotonic() - begun) * 1e6)


def _ranges_of(sequences: list[int]) -> list[tuple[int, int]]:
    """[5, 3, 4, 9] → [(3, 3), (9, 1)]."""
    ordered = sorted(sequences)
    if ordered and ordered[-1] - ordered[0] + 1 == len(ordered):  # nearly always; each is there once
        return [(ordered[0], len(ordered))]
    ranges: list[tuple[int, int]] = []
    for sequence in ordered:
        if ranges and ranges[-1][0] + ranges[-1][1] == sequence:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        else:
            ranges.append((sequence, 1))
    return ranges

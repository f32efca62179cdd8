"""How attempts ended: codes, and the packed columns of `Outcomes`."""

from __future__ import annotations

import itertools
import sys
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sandbox.wire.conversation import Outcomes
from sandbox.wire.decoding import WireError
from sandbox.wire.limits import DETAIL_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

OUTCOME_CODES: Final = (
    "delivered",
    "bad_request",
    "invalid_settings",
    "message_rejected",
    "unsupported_event_type",
    "dropped",
    "retry",
    "filtered",
    "timeout",
    "memory_limit",
    "crashed",
    "load_failed",
)
"""How an attempt can end; a code's place in this tuple is its number on the wire."""
CODE_INDEX: Final = {name: index for index, name in enumerate(OUTCOME_CODES)}
WORKER_MAY_SAY: Final = frozenset(
    CODE_INDEX[name] for name in OUTCOME_CODES if name not in {"crashed", "load_failed"}
)
"""`crashed` is what the supervisor sees, and `load_failed` has a frame of its own."""


class Failure(NamedTuple):
    """One row of `Outcomes` beside the delivered ranges."""

    sequence: int
    code: int
    after_ms: int
    detail: bytes


def pack_outcomes(delivered: Sequence[tuple[int, int]], failures: Sequence[Failure]) -> Outcomes:
    """Build the columns of an `Outcomes` frame. `delivered` are (first sequence, count)."""
    return Outcomes(
        _pack("Q", itertools.chain.from_iterable(delivered)),
        _pack("Q", (row.sequence for row in failures)),
        bytes(row.code for row in failures),
        _pack("I", (min(row.after_ms, 2**32 - 1) for row in failures)),
        _pack("I", (len(row.detail) for row in failures)),
        b"".join(row.detail for row in failures),
    )


def unpack_outcomes(frame: Outcomes, *, events_max: int) -> tuple[list[tuple[int, int]], list[Failure]]:
    """Raise `WireError` unless the columns agree, and name no more than `events_max` events.

    That the sequences are the worker's to report is for the caller.
    """
    if len(frame.delivered) > 16 * events_max or len(frame.sequences) > 8 * events_max:
        raise WireError("more outcomes than the worker holds events")
    pairs = _unpack("Q", frame.delivered)
    if len(pairs) % 2:
        raise WireError("a delivered range without its count")
    delivered = list(zip(pairs[::2], pairs[1::2], strict=True))
    if not frame.sequences:
        if frame.codes or frame.after_ms or frame.detail_sizes or frame.details:
            raise WireError("the columns of an outcome frame differ in length")
        return delivered, []
    sequences, after_ms, sizes = (
        _unpack("Q", frame.sequences),
        _unpack("I", frame.after_ms),
        _unpack("I", frame.detail_sizes),
    )
    if not len(sequences) == len(frame.codes) == len(after_ms) == len(sizes):
        raise WireError("the columns of an outcome frame differ in length")
    if sum(sizes) != len(frame.details) or max(sizes) > DETAIL_BYTES_MAX:
        raise WireError("the details of an outcome frame are not as long as they say, or longer than allowed")
    if not WORKER_MAY_SAY.issuperset(frame.codes):
        raise WireError("an outcome has a code that is not a worker's to give")
    ends = itertools.accumulate(sizes)
    return delivered, [
        Failure(sequence, code, after, frame.details[end - size : end])
        for sequence, code, after, size, end in zip(
            sequences, frame.codes, after_ms, sizes, ends, strict=True
        )
    ]


def _pack(typecode: str, numbers: Any) -> bytes:
    column = array(typecode, numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _unpack(typecode: str, packed: bytes) -> list[int]:
    column = array(typecode)
    if len(packed) % column.itemsize:
        raise WireError("a column is not a whole number of items")
    column.frombytes(packed)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tolist()

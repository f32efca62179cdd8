"""The frames that the supervisor and a worker exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.wire.decoding import refuse_nesting
from sandbox.wire.frame import Frame, decode_frame
from sandbox.wire.limits import SUBMIT_EVENTS_MAX, WORKER_ITEMS_MAX


@dataclass(frozen=True, slots=True)
class Load(Frame):
    """Bind the worker for life, or wake it: load this module, then take invocations.

    Exactly one of `code` and `source` is set; from `source` the worker compiles first and returns the code.
    """

    KIND = 1
    code: bytes | None
    """Opaque: what an earlier `Loaded` of the same source, interpreter and policy returned."""
    source: str | None
    filename: str
    """Shown in users' tracebacks."""
    settings: bytes
    """msgpack map: name → value."""
    timeout_ms: int
    concurrency: int
    """Async invocations at once in this worker."""
    console_bytes: int
    """Console output kept of one invocation."""
    filter: bytes
    """The destination's filter as a program (`sandbox/filters.py`); empty if it has none."""
    sensitive: list[str]
    """Settings whose values are masked in what invocations print, raise and return."""
    pinned_ms: int | None = None
    """In a function's own tests: the time that it sees, in ms since 1970; it stands still."""
    seed: int | None = None
    """In a function's own tests: where `random` and `uuid4` begin."""
    finds_libraries: bool = False
    """Of a source whose libraries aren't known yet: if it imports allowed ones that this worker hasn't, it is `Refused` with their names."""


INVOKE_BATCH: Final = 1
"""The frame's events are one invocation of `on_batch`; it takes one sequence number an event all the same."""
INVOKE_VERBOSE: Final = 2
"""Report details of successes too: result, console lines, duration (`engine test`, `logs --follow`)."""
INVOKE_ALONE: Final = 4
"""Start nothing else until this frame's events have ended (suspects of a crash)."""


@dataclass(frozen=True, slots=True)
class Invoke(Frame):
    """Run these events; the n-th has the sequence number `first + n`. Numbers of a worker rise without gaps from 1."""

    KIND = 2
    first: int
    flags: int
    types: bytes
    message_ids: list[str]
    user_keys: list[str]
    sizes: list[int]
    bodies: bytes


@dataclass(frozen=True, slots=True)
class Suspend(Frame):
    """Forget caches, globals and code, and give the memory back. Answered by `Suspended`; `Load` wakes."""

    KIND = 3


@dataclass(frozen=True, slots=True)
class DropCaches(Frame):
    """Empty `cache` and give the memory back. Not answered."""

    KIND = 4


@dataclass(frozen=True, slots=True)
class Stop(Frame):
    """Finish what was sent before this frame, then exit 0."""

    KIND = 5


@dataclass(frozen=True, slots=True)
class Bind(Frame):
    """Take no more address space than this, for good. Before the first `Load`, so before any code of a user; not answered.

    The worker does it itself: from outside it would take a privilege that containers don't give.
    """

    KIND = 6
    address_bytes: int


# Worker → supervisor: flat, for whatever it says is hostile until checked


@dataclass(frozen=True, slots=True)
class Ready(Frame):
    """A spare is jailed and waits for its `Load`."""

    KIND = 16
    policy_key: str
    """Names interpreter and policy: code compiled under another key is compiled anew from its source."""


@dataclass(frozen=True, slots=True)
class Loaded(Frame):
    """The module is loaded. `code` is set if it was compiled here."""

    KIND = 17
    code: bytes | None
    handlers: bytes
    """`pack_handlers`."""
    logs: bytes
    """Console lines printed while loading, as `pack_lines` packs them."""


REFUSAL_STAGES: Final = ("compile", "libraries", "handlers", "load")


@dataclass(frozen=True, slots=True)
class Refused(Frame):
    """The module didn't compile or load; the worker ends after this frame."""

    KIND = 18
    stage: str
    """One of `REFUSAL_STAGES`."""
    detail: bytes
    """Of `load` what `Detail` packs, of `libraries` what `pack_libraries` does; else a msgpack list of diagnostics as maps."""


@dataclass(frozen=True, slots=True)
class Outcomes(Frame):
    """Ended invocations. `delivered` is packed u64 pairs (first, count); the rest are columns of those not delivered.

    An event that has details to report although it was delivered (`INVOKE_VERBOSE`) stands in the columns with
    code 0 and not in `delivered`.
    """

    KIND = 19
    delivered: bytes
    sequences: bytes
    """u64 each."""
    codes: bytes
    """A byte each: the place in `OUTCOME_CODES`."""
    after_ms: bytes
    """u32 each: the earliest retry the handler asked for, 0 if it didn't."""
    detail_sizes: bytes
    """u32 each."""
    details: bytes
    """Concatenated; each what `Detail` packs, opaque to the supervisor."""


@dataclass(frozen=True, slots=True)
class Suspended(Frame):
    """Everything of the function is forgotten."""

    KIND = 20


TO_WORKER: Final[dict[int, type[Frame]]] = {
    cls.KIND: cls for cls in (Bind, Load, Invoke, Suspend, DropCaches, Stop)
}
FROM_WORKER: Final[dict[int, type[Frame]]] = {
    cls.KIND: cls for cls in (Ready, Loaded, Refused, Outcomes, Suspended)
}


def decode_from_worker(body: bytes) -> Frame:
    """One frame of a worker, without its length. Raise `WireError` on anything but a known, flat, well-typed frame."""
    return decode_frame(body, FROM_WORKER, items_max=WORKER_ITEMS_MAX, list_hook=refuse_nesting)


def decode_to_worker(body: bytes) -> Frame:
    """One frame of the supervisor, without its length."""
    return decode_frame(body, TO_WORKER, items_max=SUBMIT_EVENTS_MAX)

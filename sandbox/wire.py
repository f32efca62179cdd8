"""Frames, their codec and their limits: the one definition of what travels between processes.

A frame is a 4-byte big-endian length, then that many bytes: one msgpack array whose first item is the frame's
kind. There are two conversations:

    supervisor ──► worker    Bind Load Invoke Suspend DropCaches Stop        (trusted by the worker)
    worker ──► supervisor    Ready Loaded Refused Outcomes Suspended … (hostile until checked)
    client ◄─► daemon        see `engine/README.md`                     (hostile until checked)

Frames that a worker sends are flat: scalars and byte strings, no containers. So a decoder that refuses the first
nested array, and more than `WORKER_ITEMS_MAX` items, can't be made to allocate much more than the frame's own length,
whatever the bytes claim (nested arrays cost up to 16,000 times their size otherwise). Columns of numbers travel as
packed little-endian byte strings; whatever needs structure (an error's details, console lines) is an opaque byte
string, decoded only to be shown, and then by `unpack_opaque`.

Source of the numbers: the limits below are the documented ones of the product (32 KiB an event, 100 events a
chunk, 512 KiB a chunk); the others follow from them.
"""

from __future__ import annotations

import itertools
import struct
import sys
from array import array
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PROTOCOL_VERSION: Final = 1

KIB: Final = 1024
MIB: Final = 1024 * KIB

EVENT_TYPES: Final = ("identify", "track", "page", "screen", "group", "alias", "delete")
EVENT_TYPE_INDEX: Final = {name: index for index, name in enumerate(EVENT_TYPES)}

EVENT_BYTES_MAX: Final = 33 * KIB
"""One event's msgpack body: 32 KiB of its sender's, and room for what an entrance adds to it (times, an id)."""
CHUNK_EVENTS_MAX: Final = 100
CHUNK_BYTES_MAX: Final = 512 * KIB
SUBMIT_EVENTS_MAX: Final = 2_500
"""Events in one submit frame."""
MESSAGE_ID_CHARS_MAX: Final = 100
USER_KEY_CHARS_MAX: Final = 256
SOURCE_BYTES_MAX: Final = 1 * MIB
DETAIL_BYTES_MAX: Final = 64 * KIB
"""What one outcome may say of itself: error, user frames, console lines, result."""
BATCH_EVENTS_MAX: Final = 400
BATCH_BYTES_MAX: Final = 4 * MIB
CONSOLE_BYTES_MAX: Final = 32 * KIB
"""Console output kept of one invocation."""

TO_WORKER_BYTES_MAX: Final = 16 * MIB
READY_BYTES_MAX: Final = 4 * KIB
"""What a worker may send before it is bound."""
LOADED_BYTES_MAX: Final = 8 * MIB
"""While it is loading: its answer holds the compiled code."""
OUTCOMES_BYTES_MAX: Final = 1 * MIB
"""Afterwards."""
DIAGNOSTICS_BYTES_MAX: Final = 512 * KIB
"""What `Refused` may say."""
CLIENT_FRAME_BYTES_MAX: Final = 4 * MIB
LIBRARIES: Final[dict[str, tuple[str, ...]]] = {
    "cryptography": ("cryptography",),
    "jwt": ("jwt", "cryptography"),
    "phonenumbers": ("phonenumbers",),
    "pydash": ("pydash",),
    "whenever": ("whenever", "tzdata"),
    "xmltodict": ("xmltodict", "defusedxml"),
}
"""What functions may import where the operator allows it → what must be installed for that."""

WORKER_ITEMS_MAX: Final = 16
OPAQUE_ITEMS_MAX: Final = 20_000
OPAQUE_DEPTH_MAX: Final = 6
CLIENT_ITEMS_MAX: Final = SUBMIT_EVENTS_MAX
CLIENT_DEPTH_MAX: Final = 32

LENGTH: Final = struct.Struct(">I")


class WireError(Exception):
    """The other side broke the protocol. Nothing is resynchronised: the connection or the worker ends."""


# --- Outcomes -------------------------------------------------------------------------------------------------

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


# --- Events ---------------------------------------------------------------------------------------------------


class Events(NamedTuple):
    """Events as columns; all columns have one entry an event, `bodies` is the concatenation of `sizes` bytes each.

    Columns can be checked, sliced and joined without a line of Python an event.
    """

    types: bytes
    """A byte an event: its place in `EVENT_TYPES`."""
    message_ids: list[str]
    """The event's `messageId`, or an empty string."""
    user_keys: list[str]
    """`userId`, else `anonymousId`, else an empty string."""
    integrations: dict[int, bytes]
    """Sparse: index → msgpack of the event's `integrations` object, where it restricts anything."""
    sizes: list[int]
    bodies: bytes

    def slice(self, start: int, stop: int) -> Events:
        """Events `start` up to `stop`, as columns of their own."""
        if start == 0 and stop >= len(self.sizes):
            return self
        first = sum(self.sizes[:start])
        sizes = self.sizes[start:stop]
        return Events(
            self.types[start:stop],
            self.message_ids[start:stop],
            self.user_keys[start:stop],
            {i - start: v for i, v in self.integrations.items() if start <= i < stop}
            if self.integrations
            else {},
            sizes,
            self.bodies[first : first + sum(sizes)],
        )

    def pick(self, indices: Sequence[int]) -> Events:
        """The events at `indices`, in that order, as columns of their own."""
        starts = list(itertools.accumulate(self.sizes, initial=0))
        place = {index: at for at, index in enumerate(indices)} if self.integrations else {}
        return Events(
            bytes(self.types[i] for i in indices),
            [self.message_ids[i] for i in indices],
            [self.user_keys[i] for i in indices],
            {place[i]: v for i, v in self.integrations.items() if i in place},
            [self.sizes[i] for i in indices],
            b"".join(self.bodies[starts[i] : starts[i + 1]] for i in indices),
        )

    @staticmethod
    def join(parts: Sequence[Events]) -> Events:
        """One after the other, as columns of their own."""
        if len(parts) == 1:
            return parts[0]
        integrations: dict[int, bytes] = {}
        if any(part.integrations for part in parts):
            offset = 0
            for part in parts:
                integrations.update({offset + i: v for i, v in part.integrations.items()})
                offset += len(part.sizes)
        return Events(
            b"".join(part.types for part in parts),
            list(itertools.chain.from_iterable(part.message_ids for part in parts)),
            list(itertools.chain.from_iterable(part.user_keys for part in parts)),
            integrations,
            list(itertools.chain.from_iterable(part.sizes for part in parts)),
            b"".join(part.bodies for part in parts),
        )


def check_events(events: Events) -> None:
    """Raise `WireError` unless the columns agree with each other and with the limits. Costs by frame, not by event."""
    if not _is_one_good(events):
        _check_columns(events)


def _check_columns(events: Events) -> None:
    types, message_ids, user_keys, integrations, sizes, bodies = events
    count = len(sizes)
    if not 0 < count <= SUBMIT_EVENTS_MAX:
        raise WireError(f"a frame carries 1 to {SUBMIT_EVENTS_MAX} events, not {count}")
    if not (len(types) == len(message_ids) == len(user_keys) == count):
        raise WireError("the columns of an event frame differ in length")
    if max(types) >= len(EVENT_TYPES):
        raise WireError("an event has a type outside the table")
    if set(map(type, sizes)) != {int} or min(sizes) < 1 or max(sizes) > EVENT_BYTES_MAX:
        raise WireError(f"an event's size is not 1 to {EVENT_BYTES_MAX} bytes")
    if sum(sizes) != len(bodies):
        raise WireError("the sizes do not add up to the bodies")
    if set(map(type, message_ids)) != {str} or max(map(len, message_ids)) > MESSAGE_ID_CHARS_MAX:
        raise WireError(f"a message id is not text of at most {MESSAGE_ID_CHARS_MAX} characters")
    if set(map(type, user_keys)) != {str} or max(map(len, user_keys)) > USER_KEY_CHARS_MAX:
        raise WireError(f"a user key is not text of at most {USER_KEY_CHARS_MAX} characters")
    for index, value in integrations.items():
        if type(index) is not int or not 0 <= index < count or type(value) is not bytes:
            raise WireError("an integrations entry names no event or is not a byte string")


def _is_one_good(events: Events) -> bool:
    """A single event, which many clients send, is judged in a quarter of the time; if it isn't good the columns say why."""
    types, message_ids, user_keys, integrations, sizes, bodies = events
    if integrations or not len(types) == len(message_ids) == len(user_keys) == len(sizes) == 1:
        return False
    size, message_id, user_key = sizes[0], message_ids[0], user_keys[0]
    return (
        type(size) is int
        and 0 < size <= EVENT_BYTES_MAX
        and size == len(bodies)
        and types[0] < len(EVENT_TYPES)
        and type(message_id) is str
        and len(message_id) <= MESSAGE_ID_CHARS_MAX
        and type(user_key) is str
        and len(user_key) <= USER_KEY_CHARS_MAX
    )


SAMPLE_POSITIONS: Final = 1_000_000


def sample_position(message_id: str, body: bytes) -> int:
    """0 up to `SAMPLE_POSITIONS`: where an event stands among all that a filter samples.

    The same message id (without one: the same body) stands at the same place, in the supervisor, in every worker and in
    every attempt.
    """
    import hashlib  # noqa: PLC0415  it loads OpenSSL, which clients don't need

    digest = hashlib.blake2b(message_id.encode() or body, digest_size=8).digest()
    return int.from_bytes(digest, "big") % SAMPLE_POSITIONS


# --- Frames ---------------------------------------------------------------------------------------------------


class Frame:
    """A frame is its fields in order, after its kind. Subclasses are dataclasses; their types are checked on arrival."""

    __slots__ = ()
    KIND: ClassVar[int]

    def pack(self) -> bytes:
        """The frame's bytes, length included."""
        body: bytes = msgpack.packb([self.KIND, *(getattr(self, name) for name in _names(type(self)))])
        return LENGTH.pack(len(body)) + body

    @classmethod
    def from_items(cls, items: list[Any]) -> Self:
        """Raise `WireError` unless `items` (after the kind) have the declared number and exact types."""
        if tuple(map(type, items)) not in _signatures(cls):
            raise WireError(_misfit(cls, items))
        return cls(*items)


_NAMES: dict[type, tuple[str, ...]] = {}
_SIGNATURES: dict[type, frozenset[tuple[type, ...]]] = {}
_BY_NAME: Final[dict[str, type]] = {
    "int": int,
    "str": str,
    "bytes": bytes,
    "bool": bool,
    "None": type(None),
    "list": list,
    "dict": dict,
    "float": float,
}


def _names(cls: type[Frame]) -> tuple[str, ...]:
    if cls not in _NAMES:
        _NAMES[cls] = tuple(item.name for item in _fields(cls))
    return _NAMES[cls]


def _signatures(cls: type[Frame]) -> frozenset[tuple[type, ...]]:
    """Every row of types that its fields may have."""
    if cls not in _SIGNATURES:
        _SIGNATURES[cls] = frozenset(itertools.product(*(_types(item) for item in _fields(cls))))
    return _SIGNATURES[cls]


def _fields(cls: type[Frame]) -> tuple[Field[Any], ...]:
    return fields(cls)  # type: ignore[arg-type]  # each subclass is a dataclass


def _types(item: Field[Any]) -> tuple[type, ...]:
    return tuple(_BY_NAME[part.split("[")[0].strip()] for part in str(item.type).split("|"))


def _misfit(cls: type[Frame], items: list[Any]) -> str:
    declared = _fields(cls)
    if len(items) != len(declared):
        return f"{cls.__name__} has {len(declared)} fields, not {len(items)}"
    return next(
        f"{cls.__name__}.{field.name} is a {type(item).__name__}"
        for item, field in zip(items, declared, strict=True)
        if type(item) not in _types(field)
    )


# Supervisor → worker


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


# Worker → supervisor: flat


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
    """Concatenated; each a msgpack map, opaque to the supervisor (`pack_detail`)."""


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


def decode_frame(
    body: bytes,
    table: dict[int, type[Frame]],
    *,
    items_max: int,
    map_max: int = 0,
    list_hook: Callable[[list[Any]], list[Any]] | None = None,
) -> Frame:
    """One frame of `table`, without its length. Raises `WireError` on anything else."""
    items = unpack_limited(body, items_max=items_max, map_max=map_max, list_hook=list_hook)
    if type(items) is not list or not items or type(items[0]) is not int:
        raise WireError("a frame is an array that begins with its kind")
    cls = table.get(items[0])
    if cls is None:
        raise WireError(f"no frame has the kind {items[0]}")
    return cls.from_items(items[1:])


def unpack_limited(
    body: bytes,
    *,
    items_max: int,
    map_max: int,
    list_hook: Callable[[list[Any]], list[Any]] | None = None,
    object_pairs_hook: Callable[[list[tuple[Any, Any]]], dict[str, Any]] | None = None,
) -> Any:
    """Decode one msgpack value that fills `body` exactly; raise `WireError` otherwise, or beyond the limits.

    `items_max` and `map_max` bound each array and map, not all together. The hooks see each of them, the inner ones first.
    """
    try:
        return msgpack.unpackb(
            body,
            max_array_len=items_max,
            max_map_len=map_max,
            max_ext_len=0,
            max_str_len=len(body),
            max_bin_len=len(body),
            strict_map_key=False,
            ext_hook=_refuse_extension,
            list_hook=list_hook,
            object_pairs_hook=object_pairs_hook,
        )
    except (
        ValueError,
        TypeError,
        msgpack.exceptions.UnpackException,
        RecursionError,
        OverflowError,
    ) as error:
        raise WireError(f"not a msgpack frame: {error}") from None


def _refuse_extension(code: int, _data: bytes) -> Any:
    raise ValueError(f"extension type {code}")


def refuse_nesting(items: list[Any]) -> list[Any]:
    """The second array of a frame ends the decoding: before that, one a level is all there can be."""
    if list in map(type, items):
        raise ValueError("an array within an array")
    return items


def unpack_opaque(packed: bytes, *, bytes_max: int = DETAIL_BYTES_MAX) -> Any:
    """What a worker said of itself, to be shown. Raises `WireError` beyond the limits.

    Bytes, items and depth are counted before anything is allocated for them; keys are text, and none comes twice.
    """
    if len(packed) > bytes_max:
        raise WireError(f"{len(packed)} bytes; at most {bytes_max} are allowed")
    _check_shape(packed, items_max=OPAQUE_ITEMS_MAX, depth_max=OPAQUE_DEPTH_MAX)
    return unpack_limited(
        packed, items_max=OPAQUE_ITEMS_MAX, map_max=OPAQUE_ITEMS_MAX, object_pairs_hook=_map_of_texts
    )


def _map_of_texts(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs) or not all(type(key) is str for key in items):
        raise ValueError("a map's keys are text, each once")
    return items


_SIZES_OF: Final[dict[int, tuple[int, bool]]] = {
    **{0xC4 + at: (1 << at, True) for at in range(3)},  # bin
    **{0xD9 + at: (1 << at, True) for at in range(3)},  # str
    **{0xCC + at: (1 << at, False) for at in range(4)},  # unsigned
    **{0xD0 + at: (1 << at, False) for at in range(4)},  # signed
    0xCA: (4, False),
    0xCB: (8, False),
}
"""First byte → bytes that follow it, and whether they say how many more do. msgpack's specification."""
_CONTAINERS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""First byte → bytes of the count, and values an entry: arrays and maps."""


def _check_shape(packed: bytes, *, items_max: int, depth_max: int) -> None:
    """Raise `WireError` if there are more values than `items_max`, or deeper than `depth_max`. Allocates nothing."""
    at, items, open_values = 0, 1, [1]
    try:
        while open_values:
            if not open_values[-1]:
                open_values.pop()
                continue
            open_values[-1] -= 1
            tag = packed[at]
            at += 1
            values = 0
            if 0x80 <= tag <= 0x9F:
                values = (tag & 15) * (2 if tag < 0x90 else 1)
            elif 0xA0 <= tag <= 0xBF:
                at += tag & 31
            elif tag in _CONTAINERS:
                size, each = _CONTAINERS[tag]
                values = int.from_bytes(packed[at : at + size], "big") * each
                at += size
            elif tag in _SIZES_OF:
                size, is_length = _SIZES_OF[tag]
                at += size + (int.from_bytes(packed[at : at + size], "big") if is_length else 0)
            items += values
            if values:
                open_values.append(values)
            if items > items_max or len(open_values) > depth_max + 1:
                raise WireError("too many values, or too deep")
    except IndexError:
        raise WireError("it ends before its time") from None


# --- What the packed columns hold -----------------------------------------------------------------------------


class Handler(NamedTuple):
    """A handler the module defines."""

    name: str
    """`on_track` or the document's spelling `onTrack`: as the author wrote it."""
    event_type: str
    """A member of `EVENT_TYPES`, or `batch`."""
    is_async: bool
    takes_settings: bool
    line: int


HANDLERS_MAX: Final = len(EVENT_TYPES) + 1
_HANDLER_TYPES: Final = (str, str, bool, bool, int)


def pack_handlers(handlers: Sequence[Handler]) -> bytes:
    """A flat msgpack array, five items a handler."""
    packed: bytes = msgpack.packb(list(itertools.chain.from_iterable(handlers)))
    return packed


def unpack_handlers(packed: bytes) -> tuple[Handler, ...]:
    """Raise `WireError` unless `packed` is what `pack_handlers` makes."""
    width = len(Handler._fields)
    items = unpack_limited(packed, items_max=HANDLERS_MAX * width, map_max=0, list_hook=refuse_nesting)
    if type(items) is not list or len(items) % width or not items:
        raise WireError("not a table of handlers")
    handlers = []
    for at in range(0, len(items), width):
        row = items[at : at + width]
        if (
            tuple(map(type, row)) != _HANDLER_TYPES
            or len(row[0]) > 40
            or row[1] not in {*EVENT_TYPES, "batch"}
        ):
            raise WireError("not a table of handlers")
        handlers.append(Handler(*row))
    if len({handler.event_type for handler in handlers}) != len(handlers):
        raise WireError("two handlers for one type")
    return tuple(handlers)


def pack_libraries(names: Iterable[str]) -> bytes:
    """A msgpack array of names."""
    packed: bytes = msgpack.packb(sorted(names))
    return packed


def unpack_libraries(packed: bytes) -> tuple[str, ...]:
    """Raise `WireError` unless `packed` is what `pack_libraries` makes of some of `LIBRARIES`."""
    names = unpack_limited(packed, items_max=len(LIBRARIES), map_max=0, list_hook=refuse_nesting)
    if type(names) is not list or not names or any(type(name) is not str for name in names):
        raise WireError("not a list of libraries")
    if not LIBRARIES.keys() >= set(names) or len(set(names)) < len(names):
        raise WireError("a library that there isn't, or one twice")
    return tuple(names)


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


def pack_lines(lines: list[dict[str, str]]) -> bytes:
    """At most `DETAIL_BYTES_MAX`: console lines are dropped from the end."""
    while True:
        packed: bytes = msgpack.packb(lines, unicode_errors="replace")
        if len(packed) <= DETAIL_BYTES_MAX:
            return packed
        lines = lines[: len(lines) // 2]


@dataclass(frozen=True, slots=True)
class Detail:
    """What an outcome says of itself; opaque to the supervisor, decoded by whoever shows it.

    `error` has the keys code, type, message, line, column, traceback (list of {file, line, function, text}).
    `logs` are {level, message}; `requests` is for the HTTP exchanges of `fetch`.
    """

    error: dict[str, Any] | None = None
    logs: list[dict[str, str]] = field(default_factory=list)
    logs_dropped_bytes: int = 0
    result: str | None = None
    """`repr` of what the handler returned, cut."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    duration_us: int = 0

    def pack(self) -> bytes:
        """At most `DETAIL_BYTES_MAX`: console lines are dropped from the end, then texts are cut."""
        error, logs, result = self.error, list(self.logs), self.result
        requests, dropped = list(self.requests), self.logs_dropped_bytes
        while True:
            packed: bytes = msgpack.packb(
                [error, logs, dropped, result, requests, self.duration_us], unicode_errors="replace"
            )
            if len(packed) <= DETAIL_BYTES_MAX:
                return packed
            if logs:
                kept = len(logs) // 2
                dropped += sum(len(line["message"]) for line in logs[kept:])
                del logs[kept:]
            elif requests:
                del requests[len(requests) // 2 :]
            elif result:
                result = None
            else:
                error = {
                    key: value[:1000] if isinstance(value, str) else None
                    for key, value in (error or {}).items()
                }

    @classmethod
    def unpack(cls, packed: bytes) -> Detail:
        """Never raises: what can't be read as a detail becomes one that says so (it came from a worker)."""
        try:
            error, logs, dropped, result, requests, duration_us = unpack_opaque(packed)
            if not (
                isinstance(error, dict | None)
                and isinstance(logs, list)
                and all(isinstance(line, dict) for line in logs)
                and isinstance(dropped, int)
                and isinstance(result, str | None)
                and isinstance(requests, list)
                and isinstance(duration_us, int)
            ):
                raise WireError("a detail's fields have other types")  # noqa: TRY301  one way out for all that is unreadable
        except (WireError, TypeError, ValueError):
            return cls(
                error={
                    "code": "bad_request",
                    "type": "ProtocolError",
                    "message": "the worker's report is unreadable",
                }
            )
        lines = [
            {"level": str(line.get("level", "")), "message": str(line.get("message", ""))} for line in logs
        ]
        return cls(error, lines, dropped, result, requests, duration_us)


# --- Reading frames from a byte stream ------------------------------------------------------------------------


class FrameBuffer:
    """Cuts a stream of bytes into frame bodies. A length beyond `bytes_max` is refused before it is allocated."""

    __slots__ = ("_begun", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self._begun = bytearray()
        self.bytes_max = bytes_max

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the body of each frame that `data` completes, copied once. Raise `WireError` on a length beyond the limit."""
        at, end = 0, len(data)
        if self._begun:
            at = self._go_on(data)
            if at < 0:
                return
            body = bytes(memoryview(self._begun)[LENGTH.size :])
            self._begun = bytearray()
            yield body
        while end - at >= LENGTH.size:
            start = at + LENGTH.size
            stop = start + self._size_of(data, at)
            if stop > end:
                break
            at = stop
            yield data[start:stop]
        self._begun += data[at:]

    def _go_on(self, data: bytes) -> int:
        """Take of `data` what the begun frame lacks. Where its end is in `data`; -1 if it isn't there."""
        begun, at = self._begun, 0
        if len(begun) < LENGTH.size:
            at = LENGTH.size - len(begun)
            begun += data[:at]
            if len(begun) < LENGTH.size:
                return -1
        stop = at + LENGTH.size + self._size_of(begun, 0) - len(begun)
        begun += data[at:stop]
        return stop if stop <= len(data) else -1

    def _size_of(self, data: bytes | bytearray, at: int) -> int:
        size: int = LENGTH.unpack_from(data, at)[0]
        if size > self.bytes_max or size == 0:
            raise WireError(f"a frame of {size} bytes; 1 to {self.bytes_max} are allowed")
        return size

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete frame that are held."""
        return len(self._begun)


# --- The page shared with the supervisor ----------------------------------------------------------------------

PAGE_BYTES: Final = 4096
PAGE_STARTED_OFFSET: Final = 0
"""u64, native order: the sequence number of the invocation that was started last."""
PAGE_BUSY_OFFSET: Final = 8
"""u64: microseconds that `def` handlers have run; written when outcomes are sent. Hostile, as all of the page."""
PAGE_FETCHES_OFFSET: Final = 16
"""u64: how many fetches have been begun. A lie costs the liar the HTTP traces of its own failures, or nothing."""

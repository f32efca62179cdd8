"""Frames, their codec and their limits: the one definition of what travels between processes.

A frame is a 4-byte big-endian length, then that many bytes: one msgpack array whose first item is the frame's
kind. `frame` makes and checks it, `stream` finds where it ends, `decoding` bounds what is read. The conversations:

    supervisor ──► worker    Bind Load Invoke Suspend DropCaches Stop        (trusted by the worker)
    worker ──► supervisor    Ready Loaded Refused Outcomes Suspended         (hostile until checked)
    worker ◄─► egress        `sandbox.fetch_wire`                            (hostile until checked)
    client ◄─► daemon        see `engine/README.md`                          (hostile until checked)

Frames that a worker sends are flat: scalars and byte strings, no containers. So a decoder that refuses the first
nested array, and more than `WORKER_ITEMS_MAX` items, can't be made to allocate much more than the frame's own length,
whatever the bytes claim (nested arrays cost up to 16,000 times their size otherwise). Columns travel as packed byte
strings (`outcomes`, `handlers`, `libraries`); whatever needs structure (an error's details, console lines) is an opaque
byte string, decoded only to be shown, and then by `unpack_opaque`.

This is the package's one door: everybody else imports from here.
"""

from __future__ import annotations

from sandbox.wire.conversation import (
    FROM_WORKER,
    INVOKE_ALONE,
    INVOKE_BATCH,
    INVOKE_VERBOSE,
    REFUSAL_STAGES,
    TO_WORKER,
    Bind,
    DropCaches,
    Invoke,
    Load,
    Loaded,
    Outcomes,
    Ready,
    Refused,
    Stop,
    Suspend,
    Suspended,
    decode_from_worker,
    decode_to_worker,
)
from sandbox.wire.decoding import WireError, refuse_nesting, unpack_limited, unpack_opaque
from sandbox.wire.detail import Detail, pack_lines
from sandbox.wire.events import (
    EVENT_TYPE_INDEX,
    EVENT_TYPES,
    SAMPLE_POSITIONS,
    Events,
    check_events,
    sample_position,
)
from sandbox.wire.frame import LENGTH, PROTOCOL_VERSION, Frame, decode_frame
from sandbox.wire.handlers import HANDLERS_MAX, Handler, pack_handlers, unpack_handlers
from sandbox.wire.libraries import LIBRARIES, pack_libraries, unpack_libraries
from sandbox.wire.limits import (
    BATCH_BYTES_MAX,
    BATCH_EVENTS_MAX,
    CHUNK_BYTES_MAX,
    CHUNK_EVENTS_MAX,
    CLIENT_DEPTH_MAX,
    CLIENT_FRAME_BYTES_MAX,
    CLIENT_ITEMS_MAX,
    CONSOLE_BYTES_MAX,
    DETAIL_BYTES_MAX,
    DIAGNOSTICS_BYTES_MAX,
    EVENT_BYTES_MAX,
    KIB,
    LOADED_BYTES_MAX,
    MESSAGE_ID_CHARS_MAX,
    MIB,
    OPAQUE_DEPTH_MAX,
    OPAQUE_ITEMS_MAX,
    OUTCOMES_BYTES_MAX,
    READY_BYTES_MAX,
    SOURCE_BYTES_MAX,
    SUBMIT_EVENTS_MAX,
    TO_WORKER_BYTES_MAX,
    USER_KEY_CHARS_MAX,
    WORKER_ITEMS_MAX,
)
from sandbox.wire.outcomes import (
    CODE_INDEX,
    OUTCOME_CODES,
    WORKER_MAY_SAY,
    Failure,
    pack_outcomes,
    unpack_outcomes,
)
from sandbox.wire.page import PAGE_BUSY_OFFSET, PAGE_BYTES, PAGE_FETCHES_OFFSET, PAGE_STARTED_OFFSET
from sandbox.wire.stream import FrameBuffer

__all__ = [
    "BATCH_BYTES_MAX",
    "BATCH_EVENTS_MAX",
    "CHUNK_BYTES_MAX",
    "CHUNK_EVENTS_MAX",
    "CLIENT_DEPTH_MAX",
    "CLIENT_FRAME_BYTES_MAX",
    "CLIENT_ITEMS_MAX",
    "CODE_INDEX",
    "CONSOLE_BYTES_MAX",
    "DETAIL_BYTES_MAX",
    "DIAGNOSTICS_BYTES_MAX",
    "EVENT_BYTES_MAX",
    "EVENT_TYPES",
    "EVENT_TYPE_INDEX",
    "FROM_WORKER",
    "HANDLERS_MAX",
    "INVOKE_ALONE",
    "INVOKE_BATCH",
    "INVOKE_VERBOSE",
    "KIB",
    "LENGTH",
    "LIBRARIES",
    "LOADED_BYTES_MAX",
    "MESSAGE_ID_CHARS_MAX",
    "MIB",
    "OPAQUE_DEPTH_MAX",
    "OPAQUE_ITEMS_MAX",
    "OUTCOMES_BYTES_MAX",
    "OUTCOME_CODES",
    "PAGE_BUSY_OFFSET",
    "PAGE_BYTES",
    "PAGE_FETCHES_OFFSET",
    "PAGE_STARTED_OFFSET",
    "PROTOCOL_VERSION",
    "READY_BYTES_MAX",
    "REFUSAL_STAGES",
    "SAMPLE_POSITIONS",
    "SOURCE_BYTES_MAX",
    "SUBMIT_EVENTS_MAX",
    "TO_WORKER",
    "TO_WORKER_BYTES_MAX",
    "USER_KEY_CHARS_MAX",
    "WORKER_ITEMS_MAX",
    "WORKER_MAY_SAY",
    "Bind",
    "Detail",
    "DropCaches",
    "Events",
    "Failure",
    "Frame",
    "FrameBuffer",
    "Handler",
    "Invoke",
    "Load",
    "Loaded",
    "Outcomes",
    "Ready",
    "Refused",
    "Stop",
    "Suspend",
    "Suspended",
    "WireError",
    "check_events",
    "decode_frame",
    "decode_from_worker",
    "decode_to_worker",
    "pack_handlers",
    "pack_libraries",
    "pack_lines",
    "pack_outcomes",
    "refuse_nesting",
    "sample_position",
    "unpack_handlers",
    "unpack_libraries",
    "unpack_limited",
    "unpack_opaque",
    "unpack_outcomes",
]

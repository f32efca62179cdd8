"""The engine's nouns as data: no I/O, no decisions that need a clock."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sandbox.wire import CODE_INDEX, CONSOLE_BYTES_MAX

if TYPE_CHECKING:
    from engine.roles import Grants
    from sandbox.wire import Events, Handler


@dataclass(frozen=True, slots=True)
class Treatment:
    """What an outcome code means for a delivery."""

    kind: str
    """Of `PART_KINDS`; `retry` ends in `dead` when its time, or `attempts_max`, is over."""
    is_failure: bool = False
    """Counted as failed by health and the circuit breaker."""
    attempts_max: int = 0
    """0: only time bounds the attempts."""
    runs_alone: bool = False
    """Its next attempt has no others beside it."""


OUTCOMES: Final = {
    "delivered": Treatment("delivered"),
    "bad_request": Treatment("discarded", is_failure=True),
    "invalid_settings": Treatment("discarded"),
    "message_rejected": Treatment("discarded"),
    "unsupported_event_type": Treatment("counted"),
    "dropped": Treatment("counted"),
    "retry": Treatment("retry", is_failure=True),
    "filtered": Treatment("counted"),
    "timeout": Treatment("retry", is_failure=True),
    "memory_limit": Treatment("retry", is_failure=True, attempts_max=3),
    "crashed": Treatment("retry", is_failure=True, attempts_max=3, runs_alone=True),
    "load_failed": Treatment("retry", is_failure=True),
}
"""The one table of outcome codes. `message_rejected` is the event's fault and `invalid_settings` whoever deployed: no failures."""
OVERFLOW: Final = "overflow"
"""The code of what was never attempted: it is dead because its destination's queue was full."""
COUNTED_CODES: Final = frozenset(code for code, how in OUTCOMES.items() if how.kind == "counted")
"""Counted, not kept on the shelf."""
FAILED_CODES: Final = frozenset(code for code, how in OUTCOMES.items() if how.is_failure)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a destination may use. Bounds are checked by `config.check_limits`."""

    timeout_ms: int = 5_000
    memory_mib: int = 128
    concurrency: int = 16
    console_bytes: int = CONSOLE_BYTES_MAX
    batch_size: int = 20
    batch_wait_ms: int = 10_000
    retry_first_ms: int = 1_000
    """About how long the first pause is; it doubles with each attempt."""
    retry_cap_ms: int = 900_000
    """No pause is longer, but one that the handler asked for."""
    retry_for_s: int = 14_400
    """From acceptance; a failure after that is the last."""
    rate_per_s: int = 0
    """Deliveries handed to workers; 0 is no limit."""
    queue_events: int = 0
    """Deliveries stored; 0 is no limit."""


class SettingType(StrEnum):
    """What a setting's value is."""

    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    ARRAY = "ARRAY"
    TEXT_MAP = "TEXT_MAP"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a function. `name` is what the code reads, `label` and `description` are for people."""

    name: str
    label: str
    type: SettingType = SettingType.STRING
    description: str = ""
    required: bool = False
    sensitive: bool = False
    """Its value is sealed when it is stored, and never shown."""

    def as_map(self) -> dict[str, Any]:
        """As the API carries it."""
        return {**asdict(self), "type": str(self.type)}


@dataclass(frozen=True, slots=True)
class Function:
    """What people deploy; its versions hold the code."""

    id: int
    name: str
    display_name: str
    description: str
    logo_url: str
    deployed: int | None
    """The version that destinations run which aren't pinned."""
    created_ms: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where events come from."""

    id: int
    name: str
    samples_kept: int
    """Events of each type, for trying functions with."""
    created_ms: int
    write_keys: tuple[str, ...]
    destinations: tuple[str, ...]
    """Names of those that it is connected to."""


@dataclass(frozen=True, slots=True)
class Token:
    """What somebody shows to be somebody; the token itself is kept nowhere."""

    id: int
    name: str
    grants: Grants
    created_ms: int
    expires_ms: int | None
    """None: never."""
    used_ms: int | None
    """None: not yet."""


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value: msgpack, or sealed (`registry.secrets`)."""

    name: str
    is_sealed: bool
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Code:
    """What an author writes: of one version."""

    source: str
    filename: str
    schema: tuple[Setting, ...] | None = None
    """The settings that it declares; None if it declares none, and takes any."""


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """Immutable. `code` is opaque and belongs to `policy_key`; under another key the source is compiled anew."""

    function_id: int
    number: int
    source: str
    filename: str
    handlers: tuple[Handler, ...]
    code: bytes
    policy_key: str
    created_ms: int
    author: str
    schema: tuple[Setting, ...] | None
    """The settings that it declares; None if it declares none, and takes any."""
    libraries: tuple[str, ...] = ()
    """Those that it imports, of which the operator allowed when it was compiled: its workers come from a zygote that has them."""

    @property
    def has_async(self) -> bool:
        """Any handler is `async def`."""
        return any(handler.is_async for handler in self.handlers)

    @property
    def is_batching(self) -> bool:
        """The module defines `on_batch`."""
        return any(handler.event_type == "batch" for handler in self.handlers)


@dataclass(frozen=True, slots=True)
class Stop:
    """A time in which a destination was stopped by hand, or quarantined. Its deliveries' time for retries stood still."""

    state: str
    """`paused` or `quarantined`."""
    since_ms: int
    until_ms: int | None = None
    """None while it lasts."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One deployed instance of a function: the unit of isolation."""

    id: int
    name: str
    function: str
    version: FunctionVersion
    values: tuple[Value, ...]
    """Of its settings; those that may be secret are sealed, and opened for its worker alone."""
    limits: Limits
    created_ms: int
    deployed_ms: int
    is_pinned: bool = False
    """It stays with its version when another is deployed."""
    is_enabled: bool = True
    """Sources send it events."""
    chosen: tuple[tuple[str, int], ...] = ()
    """Limits that it chose itself; the others are the daemon's, and change with them."""
    filter_text: str = ""
    filter: bytes = b""
    """The program that its workers run before the handler (`engine/filters/program.py`)."""
    sources: tuple[str, ...] = ()
    """Names of those that it is connected to."""

    def runs_as(self, other: Destination) -> bool:
        """Its workers can't tell the two apart."""
        return (self.version, self.values, self.limits, self.filter) == (
            other.version,
            other.values,
            other.limits,
            other.filter,
        )

    @property
    def sensitive(self) -> list[str]:
        """Settings whose values are secrets: those that the schema says, or without one all that are set."""
        schema = self.version.schema
        if schema is None:
            return [value.name for value in self.values]
        return [setting.name for setting in schema if setting.sensitive]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Up to 100 deliveries to one destination that travel and are stored together.

    All share attempt, acceptance and due time, and the chunk they were accepted in, by which they are named. Chunks
    are split and never joined.
    """

    destination_id: int
    events: Events
    accepted_ms: int
    due_ms: int
    attempt: int = 1
    alone: bool = False
    """Run without others beside: a suspect of a crash."""
    origin_id: int = 0
    """The chunk they were accepted in; 0 is this one."""
    places: tuple[int, ...] = ()
    """Of each in that chunk; empty where they are the same here."""
    code: str = ""
    """How the last attempt ended; empty before the first has."""

    def __len__(self) -> int:
        return len(self.events.sizes)


# Parts of a lease that have ended. Indices are places within the leased chunk.


@dataclass(frozen=True, slots=True)
class Part:
    """Deliveries of one lease that ended alike.

    `kind` is `delivered` (gone), `counted` (gone; outcome without a record), `retry` (stored again, due at `due_ms`
    with `attempt`), `discarded` or `dead` (moved to the shelf with `code` and `detail`).
    """

    indices: tuple[int, ...]
    kind: str
    code: str = "delivered"
    due_ms: int = 0
    attempt: int = 0
    alone: bool = False
    details: tuple[bytes, ...] = ()
    """Of each, in the order of `indices`, what `sandbox.wire.Detail` packs; or empty. Kept on the shelf."""


PART_KINDS: Final = ("delivered", "counted", "retry", "discarded", "dead")


@dataclass(slots=True, eq=False)
class Lease:
    """A stored chunk that is being worked on. `remaining` has a bit set for each delivery not yet settled."""

    id: int
    chunk: Chunk
    remaining: int = field(default=0)

    def __post_init__(self) -> None:
        if not self.remaining:
            self.remaining = (1 << len(self.chunk)) - 1

    def delivery_id(self, index: int) -> str:
        """`CHUNK.INDEX`, of the chunk it was accepted in: never changes."""
        chunk = self.chunk
        return f"{chunk.origin_id or self.id}.{chunk.places[index] if chunk.places else index}"


def code_name(number: int, names: tuple[str, ...] = tuple(CODE_INDEX)) -> str:
    """The name of an outcome's number on the wire."""
    return names[number]

"""What the supervisor and an egress process say to each other: frames on a stream socket, as `sandbox.wire` makes them.

supervisor ──► egress    Configure Bind Mock Pull            a Bind comes with two descriptors
egress ──► supervisor    Started Pulled Broken Counted Alive     checked: it handles what strangers send
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sandbox.wire import MIB, Frame, decode_frame

TO_EGRESS_BYTES_MAX: Final = 64 * MIB
"""Settings of a destination are its secrets, and mocks may be long."""
FROM_EGRESS_BYTES_MAX: Final = 16 * MIB
ITEMS_MAX: Final = 4_096
BIND_FDS: Final = 2


class MockAnswer(NamedTuple):
    """What is answered to whom instead of calling anybody: a row in frames."""

    method: str
    """In upper case; `*` is any."""
    url: str
    """In its one spelling; a prefix if it ends in `*`."""
    error: str
    """One of `sandbox.fetch_wire.FAILURES`, and then there is no answer; or empty."""
    status: int
    headers: list[tuple[str, str]]
    """Names in lower case."""
    body: bytes

    @classmethod
    def of(cls, row: list[Any]) -> MockAnswer:
        """As it was before it was packed."""
        method, url, error, status, headers, body = row
        return cls(method, url, error, status, [(name, value) for name, value in headers], body)


@dataclass(frozen=True, slots=True)
class Configure(Frame):
    """The operator's lists and names, anew: what was said before is forgotten."""

    KIND = 1
    allow: list[str]
    deny: list[str]
    secret_names: list[str]
    """Headers, lower case, whose values are never shown, beside `Authorization`, `Cookie` and `Set-Cookie`."""
    source_address: str


@dataclass(frozen=True, slots=True)
class Bind(Frame):
    """A worker is bound; its pipes come along: first the end that answers are written to, then that of its requests."""

    KIND = 2
    channel: int
    destination: int
    allow: list[str]
    """The destination's own lists, beside the operator's."""
    deny: list[str]
    secrets: list[str]
    timeout_ms: int
    """Of an invocation: no fetch lasts longer."""
    fetches_max: int
    """By an invocation."""
    trace_body_bytes: int
    is_blanked: bool
    """Secrets are blanked in traces; not so in a function's own tests, which look at what was sent."""
    mocks: list[Any] | None
    """Answer from these rows of `MockAnswer`, and call nothing."""


@dataclass(frozen=True, slots=True)
class Mock(Frame):
    """Answer a channel from these from now on."""

    KIND = 3
    channel: int
    mocks: list[Any]
    """Rows of `MockAnswer`."""


@dataclass(frozen=True, slots=True)
class Pull(Frame):
    """Send the traces of some invocations of a channel; answered by `Pulled` with the same id."""

    KIND = 4
    id: int
    channel: int
    invocations: list[int]


@dataclass(frozen=True, slots=True)
class Started(Frame):
    """The process is jailed and takes channels. `layers` are rows of layer, state, answer."""

    KIND = 16
    layers: list[Any]


@dataclass(frozen=True, slots=True)
class Pulled(Frame):
    """`traces` are pairs of invocation and what `Trace.as_map` made, oldest first."""

    KIND = 17
    id: int
    traces: list[Any]


@dataclass(frozen=True, slots=True)
class Broken(Frame):
    """A worker broke the protocol on its channel, which is closed."""

    KIND = 18
    channel: int
    reason: str


@dataclass(frozen=True, slots=True)
class Counted(Frame):
    """What destinations have called since the last time: a row each, its number and what `counting.Counter.take` gave."""

    KIND = 19
    rows: list[Any]


@dataclass(frozen=True, slots=True)
class Alive(Frame):
    """Its loop turns; said once a second."""

    KIND = 20


_TO_EGRESS: Final[dict[int, type[Frame]]] = {cls.KIND: cls for cls in (Configure, Bind, Mock, Pull)}
_FROM_EGRESS: Final[dict[int, type[Frame]]] = {
    cls.KIND: cls for cls in (Started, Pulled, Broken, Counted, Alive)
}


def decode_to_egress(body: bytes) -> Frame:
    """One frame of the supervisor."""
    return decode_frame(body, _TO_EGRESS, items_max=ITEMS_MAX, map_max=ITEMS_MAX)


def decode_from_egress(body: bytes) -> Frame:
    """One frame of an egress process. Raises `WireError` on anything but a known, well-typed one."""
    return decode_frame(body, _FROM_EGRESS, items_max=ITEMS_MAX, map_max=ITEMS_MAX)

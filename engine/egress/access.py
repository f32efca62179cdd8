"""Pure: what HTTP a worker may do for its destination, and what of it is secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.egress.blanking import SECRET_CHARS_MIN
from engine.egress.rules import Refused, parse_target
from sandbox import wire
from sandbox.fetch_wire import fetches_max

if TYPE_CHECKING:
    from engine.model import Limits

SETTINGS_ITEMS_MAX: Final = 10_000
URL_PART_CHARS_MIN: Final = 16
"""A part of a URL's path or query that is so long may be a secret by itself."""
TRACE_BODY_BYTES: Final = 4 * wire.KIB
"""Of each body, shown to whoever debugs a failure."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The operator's lists, of hosts and networks (`rules.Pattern`)."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """What a channel is bound with."""

    destination: int
    timeout_ms: int
    fetches_max: int
    """By an invocation."""
    secrets: tuple[str, ...] = ()
    lists: Lists = field(default_factory=Lists)
    """The destination's own, beside the operator's."""
    trace_body_bytes: int = TRACE_BODY_BYTES
    is_blanked: bool = True
    mocks: tuple[dict[str, Any], ...] | None = None


def access_of(
    destination: int,
    *,
    settings: bytes,
    limits: Limits,
    is_batching: bool,
    lists: Lists,
    sealed: frozenset[str] | None = None,
) -> Access:
    """For a worker of this destination. `sealed` names the settings that may be secret; None means all."""
    return Access(
        destination,
        limits.timeout_ms,
        fetches_max(limits.batch_size if is_batching else 0),
        secrets_of(settings, sealed),
        lists,
    )


def secrets_of(settings: bytes, sealed: frozenset[str] | None = None) -> tuple[str, ...]:
    """Every text in the settings that may be secret and is long enough to be one.

    Where a function declares no settings, all may be. Shown too little is mended by declaring them; shown too much isn't
    mended at all. Of a URL what follows the host is the secret (web hooks carry theirs in the path): where a call went
    should stay readable.
    """
    try:
        values = wire.unpack_limited(settings, items_max=SETTINGS_ITEMS_MAX, map_max=SETTINGS_ITEMS_MAX)
    except wire.WireError:
        return ()
    if sealed is not None and isinstance(values, dict):
        values = [value for name, value in values.items() if name in sealed]
    found = {part for text in _texts(values) for part in _parts(text)}
    return tuple(sorted(part for part in found if len(part) >= SECRET_CHARS_MIN))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return []


def _parts(text: str) -> list[str]:
    try:
        rest = parse_target(text).rest
    except Refused:
        return [text]
    return [rest, *(part for part in re.split(r"[/?&=]", rest) if len(part) >= URL_PART_CHARS_MIN)]

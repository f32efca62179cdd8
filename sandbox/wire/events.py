"""Events as they travel: columns of a frame, checked by the frame and not by the event."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

from sandbox.wire.decoding import WireError
from sandbox.wire.limits import EVENT_BYTES_MAX, MESSAGE_ID_CHARS_MAX, SUBMIT_EVENTS_MAX, USER_KEY_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENT_TYPES: Final = ("identify", "track", "page", "screen", "group", "alias", "delete")
EVENT_TYPE_INDEX: Final = {name: index for index, name in enumerate(EVENT_TYPES)}


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

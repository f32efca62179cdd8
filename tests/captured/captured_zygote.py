"""A zygote whose workers are the real ones, jail and all, until they are bound to a destination with the setting `attack`.

From then on they are what code would be that has got out of the language layer and owns the process: it has the pipes,
the page, and all the time in the world. `test_captured.py` says what each attack must come to.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgpack

from sandbox import wire, zygote
from sandbox.worker import loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sandbox.worker.pipe import Pipe

BAD_REQUEST: Final = wire.CODE_INDEX["bad_request"]
HANDLERS: Final = wire.pack_handlers([wire.Handler("on_track", "track", False, True, 1)])


def raw(*items: Any) -> bytes:
    """A frame with whatever in it."""
    body: bytes = msgpack.packb(list(items))
    return wire.LENGTH.pack(len(body)) + body


def outcomes(*ranges: tuple[int, int], rows: tuple[wire.Failure, ...] = ()) -> bytes:
    return wire.pack_outcomes(ranges, rows).pack()


class Captured:
    """The process as its captor sees it."""

    def __init__(self, pipe: Pipe, page: memoryview) -> None:
        self.page = page
        self.write_fd = pipe._write_fd
        self._pipe = pipe

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.write_fd, view) :]

    def write_for_ever(self, data: bytes, pause_s: float = 0.0) -> NoReturn:
        while True:
            self.write(data)
            time.sleep(pause_s)

    def loaded(self, code: bytes | None = None, logs: bytes = b"\x90") -> None:
        self.write(wire.Loaded(code, HANDLERS, logs).pack())

    def invoked(self) -> wire.Invoke:
        """Answer the load as an honest worker would, and wait for the first events."""
        self.loaded()
        return self.next()

    def next(self) -> wire.Invoke:
        """Wait for the next events."""
        while not isinstance(frame := self._pipe.next(), wire.Invoke):
            self._pipe.read()
        return frame

    def run(self, attack: Callable[[Captured], None]) -> NoReturn:
        try:
            attack(self)
        finally:
            while True:
                time.sleep(1)


# --- While loading


def answer_nothing(_worker: Captured) -> None:
    """Not even the load."""


def length_of_4_gib(worker: Captured) -> None:
    worker.write(b"\xff\xff\xff\xff" + b"x" * 1000)


def length_of_nothing(worker: Captured) -> None:
    worker.write(b"\x00\x00\x00\x00")


def outcomes_before_loaded(worker: Captured) -> None:
    worker.write(outcomes((1, 1)))


def ready_twice(worker: Captured) -> None:
    worker.write(wire.Ready(zygote.POLICY_KEY).pack())


def code_nobody_asked_for(worker: Captured) -> None:
    worker.loaded(code=b"x" * wire.MIB)


def no_handlers(worker: Captured) -> None:
    worker.write(wire.Loaded(None, b"\x90", b"\x90").pack())


def handlers_nested(worker: Captured) -> None:
    worker.write(wire.Loaded(None, b"\x9f" * 100_000, b"\x90").pack())


def endless_loaded_logs(worker: Captured) -> None:
    worker.loaded(logs=msgpack.packb(["x" * 1000] * 100))


def frame_of_8_mib_and_a_byte(worker: Captured) -> None:
    worker.write_for_ever(wire.LENGTH.pack(wire.LOADED_BYTES_MAX + 1) + b"x" * 100_000)


def refused_of_no_stage(worker: Captured) -> None:
    worker.write(wire.Refused("x" * 100_000, b"").pack())


def libraries_nobody_asked_for(worker: Captured) -> None:
    worker.write(wire.Refused("libraries", wire.pack_libraries(["jwt"])).pack())


# --- Frames


def bytes_at_random(worker: Captured) -> None:
    worker.invoked()
    worker.write_for_ever(os.urandom(65_536))


def nested_arrays(worker: Captured) -> None:
    worker.invoked()
    body = b"\x9f" + b"\x9f" * 40_000 + b"\x90" * 600_000
    worker.write(wire.LENGTH.pack(len(body)) + body)


def nested_headers(worker: Captured) -> None:
    worker.invoked()
    body = b"\xdd\xff\xff\xff\xff" * 100_000
    worker.write(wire.LENGTH.pack(len(body)) + body)


def a_map(worker: Captured) -> None:
    worker.invoked()
    worker.write(raw(19, {}, b"", b"", b"", b"", b""))


def an_extension(worker: Captured) -> None:
    worker.invoked()
    worker.write(raw(19, msgpack.ExtType(1, b"x" * 16), b"", b"", b"", b"", b""))


def bytes_behind_the_frame(worker: Captured) -> None:
    worker.invoked()
    body = raw(20)[4:] + b"\xc0"
    worker.write(wire.LENGTH.pack(len(body)) + body)


def bad_utf8(worker: Captured) -> None:
    worker.invoked()
    body = b"\x92\x10\xa2\xff\xff"
    worker.write(wire.LENGTH.pack(len(body)) + body)


def no_such_kind(worker: Captured) -> None:
    worker.invoked()
    worker.write(raw(99))


def the_supervisors_own_frame(worker: Captured) -> None:
    worker.write(worker.invoked().pack())


def half_a_frame(worker: Captured) -> None:
    worker.invoked()
    worker.write(outcomes((1, 1))[:-3])


def a_byte_at_a_time(worker: Captured) -> None:
    worker.invoked()
    worker.write(wire.LENGTH.pack(wire.OUTCOMES_BYTES_MAX))
    worker.write_for_ever(b"\x00", pause_s=0.005)


def close_the_pipe(worker: Captured) -> None:
    worker.invoked()
    os.close(worker.write_fd)


# --- Out of turn


def loaded_twice(worker: Captured) -> None:
    worker.invoked()
    worker.loaded()


def refused_after_loaded(worker: Captured) -> None:
    worker.invoked()
    worker.write(wire.Refused("load", b"").pack())


def suspended_unasked(worker: Captured) -> None:
    worker.invoked()
    worker.write_for_ever(wire.Suspended().pack())


# --- Outcomes


def outcomes_of_nothing(worker: Captured) -> None:
    worker.invoked()
    worker.write_for_ever(outcomes())


def forged_number(worker: Captured) -> None:
    worker.invoked()
    worker.write(outcomes((1_000_000, 1)))


def number_of_another_worker(worker: Captured) -> None:
    """Numbers are each worker's own: whatever it says, it can only speak of what it holds itself."""
    frame = worker.invoked()
    worker.write(outcomes((frame.first, len(frame.sizes)), (2**63, 2)))


def endless_range(worker: Captured) -> None:
    worker.invoked()
    worker.write(outcomes((1, 2**64 - 1)))


def replayed(worker: Captured) -> None:
    worker.invoked()
    worker.write(outcomes((1, 1)) + outcomes((1, 1)))


def twice_in_a_frame(worker: Captured) -> None:
    worker.invoked()
    worker.write(outcomes((1, 1), (1, 1)))


def a_million_ranges(worker: Captured) -> None:
    worker.invoked()
    worker.write(wire.Outcomes(b"\x01" * 900_000, b"", b"", b"", b"", b"").pack())


def columns_that_disagree(worker: Captured) -> None:
    worker.invoked()
    worker.write(wire.Outcomes(b"", b"\x01" + b"\x00" * 7, b"\x01\x01", b"", b"", b"").pack())


def a_code_it_may_not_say(worker: Captured) -> None:
    worker.invoked()
    worker.write(outcomes(rows=(wire.Failure(1, wire.CODE_INDEX["crashed"], 0, b""),)))


def no_such_code(worker: Captured) -> None:
    worker.invoked()
    worker.write(outcomes(rows=(wire.Failure(1, 200, 0, b""),)))


def a_detail_too_long(worker: Captured) -> None:
    worker.invoked()
    worker.write(outcomes(rows=(wire.Failure(1, BAD_REQUEST, 0, b"x" * (wire.DETAIL_BYTES_MAX + 1)),)))


# --- The page


def index_never_given(worker: Captured) -> None:
    worker.invoked()
    worker.page[0] = 2**64 - 1


def index_that_falls(worker: Captured) -> None:
    worker.invoked()
    for index in itertools.cycle((2, 1)):
        worker.page[0] = index
        time.sleep(0.12)


def index_that_rises_and_nothing_ends(worker: Captured) -> None:
    frame = worker.invoked()
    for index in range(frame.first, frame.first + len(frame.sizes)):
        worker.page[0] = index
        time.sleep(0.2)


# --- Silence, and honest-looking noise


def read_nothing(worker: Captured) -> None:
    worker.loaded()


def outcome_after_outcome(worker: Captured) -> None:
    """Each event ends in a frame of its own with the largest detail there may be: that is its own to waste."""
    detail = msgpack.packb("x" * (wire.DETAIL_BYTES_MAX - 8))
    frame = worker.invoked()
    while True:
        for sequence in range(frame.first, frame.first + len(frame.sizes)):
            worker.write(outcomes(rows=(wire.Failure(sequence, BAD_REQUEST, 0, detail),)))
        frame = worker.next()


def details_that_are_no_details(worker: Captured) -> None:
    bombs = (b"\xdd\xff\xff\xff\xff" * 10_000, b"\x82\xa1a\x01\xa1a\x02", b"\x81\x01\x02", b"", b"\xc1")
    frame = worker.invoked()
    while True:
        rows = tuple(
            wire.Failure(sequence, BAD_REQUEST, 2**32 - 1, bombs[sequence % len(bombs)])
            for sequence in range(frame.first, frame.first + len(frame.sizes))
        )
        worker.write(outcomes(rows=rows))
        frame = worker.next()


class CapturedWorker(loop.Worker):
    """The real one, until it is bound to a destination that attacks."""

    def _load(self, frame: wire.Load, event_loop: asyncio.AbstractEventLoop) -> None:
        attack = msgpack.unpackb(frame.settings).get("attack")
        if attack is None or frame.code is None:  # a deploy only tries the module
            super()._load(frame, event_loop)
        else:
            Captured(self._pipe, self._page).run(globals()[attack])


if __name__ == "__main__":
    zygote.Worker = CapturedWorker  # type: ignore[misc]
    zygote.main()

"""Coordinate descent over settings, on real daemons, within a time.

    for each setting:   a daemon a value, with what was chosen so far ─► rounds of loads, in turns ─► choosing.judge
    as long as a pass changed something and time is left: another pass
    at the end:         the defaults against what was chosen, all figures

Daemons of one setting run side by side and are loaded in turns, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.harness import daemon
from benchmarks.tuning import loads
from benchmarks.tuning.choosing import Judged, Seen, choose, judge
from engine.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.suite.program import Better
    from engine.client import Client

ROUNDS: Final = 5
"""As few as can be told from chance."""
PASSES_MAX: Final = 2


class Knob(NamedTuple):
    """A setting, the values that are tried, and what is measured of each."""

    setting: str
    values: tuple[int, ...]
    """The default is tried besides."""
    figure: str
    unit: str
    better: Better
    load: Callable[[Client, float], float]
    guard: Callable[[Client, float], float] | None = None
    """What it must not harm; less is better."""


KNOBS: Final = (
    Knob(
        "concurrency", (1, 2, 4), "in submits of 100", "events/s", "more", loads.in_hundreds, loads.quiet_p99
    ),
    Knob(
        "frame_ms",
        (5, 10, 40, 80),
        "in submits of 100",
        "events/s",
        "more",
        loads.in_hundreds,
        loads.quiet_p99,
    ),
    Knob("prefetch_chunks", (4, 8, 32, 64), "drained from disk", "events/s", "more", loads.from_disk),
    Knob("commit_wait_us", (200, 1_000, 5_000), "singly", "events/s", "more", loads.singly, loads.quiet_p99),
    Knob("spares", (2, 8, 16), "16 cold starts at once, the last", "ms", "less", loads.cold),
)
"""`concurrency` is how many workers a destination may have."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One setting in one pass."""

    knob: Knob
    judged: Sequence[Judged]
    chosen: Judged


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it."""

    chosen: dict[str, int]
    """Settings that differ from their defaults."""
    tried: list[Tried]
    untried: list[str]
    """Settings for which there was no time."""
    together: dict[str, list[Judged]]
    """By setting: its figure with the defaults (value 0) and with all that was chosen (value 1); empty if nothing was."""


def defaults() -> dict[str, int]:
    """Of the settings that are tried."""
    usual = Config()
    return {knob.setting: getattr(usual, knob.setting) for knob in KNOBS}


def tune(
    *,
    seconds: float,
    measured: Callable[[Knob, Sequence[Mapping[str, int]]], list[Seen]],
    tell: Callable[[str], None] = lambda _text: None,
    knobs: Sequence[Knob] = KNOBS,
    now: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Try `knobs` until there is nothing to gain, or no time; `measured` answers for each of several settings.

    What is being measured when the time is over is measured to its end.
    """
    deadline, usual = now() + seconds, defaults()
    chosen, tried, untried = dict(usual), [], []
    for number in range(PASSES_MAX):
        before = dict(chosen)
        for knob in knobs:
            if now() >= deadline:
                if not number:
                    untried.append(knob.setting)
                continue
            tell(f"{knob.setting}: {knob.figure}")
            default = usual[knob.setting]
            values = [default, *(value for value in knob.values if value != default)]
            seen = measured(knob, [{**chosen, knob.setting: value} for value in values])
            judged = judge(dict(zip(values, seen, strict=True)), default, knob.better)
            tried.append(Tried(knob, judged, choose(judged)))
            chosen[knob.setting] = tried[-1].chosen.value
        if chosen == before:
            break
    changed = {name: value for name, value in chosen.items() if value != usual[name]}
    together = {}
    for knob in knobs if changed else ():
        tell(f"the defaults against what was chosen: {knob.figure}")
        together[knob.setting] = judge(dict(enumerate(measured(knob, [{}, changed]))), 0, knob.better)
    return Tuned(changed, tried, untried, together)


def measure(
    knob: Knob, settings: Sequence[Mapping[str, int]], *, rounds: int = ROUNDS, share: float = 1.0
) -> list[Seen]:
    """A daemon for each of these settings; a warm-up, then the loads in turns, each time another one first.

    `share` is how much of each load is made.
    """
    figures: list[list[float]] = [[] for _ in settings]
    guards: list[list[float]] = [[] for _ in settings]
    with _daemons(settings) as clients:
        for client in clients:
            knob.load(client, share / 4)
        for number in range(rounds):
            for place in range(len(clients)):
                at = (place + number) % len(clients)
                figures[at].append(knob.load(clients[at], share))
                if knob.guard is not None:
                    guards[at].append(knob.guard(clients[at], share))
    return [Seen(tuple(figure), tuple(guard)) for figure, guard in zip(figures, guards, strict=True)]


@contextlib.contextmanager
def _daemons(settings: Sequence[Mapping[str, int]]) -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(daemon(settings=one))[0] for one in settings]

"""`python -m benchmarks.tuning [--seconds N] [--json]`: the settings that it would choose on this machine, and why."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.suite.results import machine
from benchmarks.suite.summary import number
from benchmarks.tuning.tuning import KNOBS, Knob, Tried, Tuned, defaults, measure, tune

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.tuning.choosing import Judged

SECONDS: Final = 300


def main() -> int:
    """Print what was tried, then what to write into engine.toml."""
    parser = argparse.ArgumentParser(prog="engine tune", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"about how long it may take ({SECONDS})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--smoke", action="store_true", help="only whether it works: small, and no figures")
    asked = parser.parse_args()
    if asked.seconds < 0:
        parser.error("--seconds is at least 0")
    tuned = tune(
        seconds=asked.seconds,
        measured=partial(measure, rounds=1, share=0.01) if asked.smoke else measure,
        knobs=[knob._replace(values=knob.values[:1]) for knob in KNOBS] if asked.smoke else KNOBS,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if asked.json:
        print(json.dumps(as_map(tuned)))
    else:
        print("\n".join(lines(tuned)))
    return 0


def as_map(tuned: Tuned) -> dict[str, Any]:
    """For JSON."""
    return {
        "machine": machine(),
        "chosen": tuned.chosen,
        "untried": tuned.untried,
        "tried": [
            {
                "setting": one.knob.setting,
                "figure": one.knob.figure,
                "unit": one.knob.unit,
                "chosen": one.chosen.value,
                "values": [_judged_map(judged) for judged in one.judged],
            }
            for one in tuned.tried
        ],
        "together": {name: [_judged_map(judged) for judged in both] for name, both in tuned.together.items()},
    }


def _judged_map(judged: Judged) -> dict[str, Any]:
    return {
        "value": judged.value,
        "figure": list(judged.seen.figure),
        "guard_p99_ms": list(judged.seen.guard),
        "gain": judged.gain,
        "chance": judged.chance,
        "verdict": judged.verdict,
    }


def lines(tuned: Tuned) -> Iterator[str]:
    """For a terminal."""
    for tried in tuned.tried:
        yield f"\n{tried.knob.setting} ({tried.knob.figure}, {tried.knob.unit})"
        yield from (
            _line(str(judged.value), judged, is_chosen=judged is tried.chosen) for judged in tried.judged
        )
    for setting in tuned.untried:
        yield f"\n{setting}: not tried, the time was over; --seconds gives it more"
    if tuned.together:
        yield "\nall of it together, against the defaults"
        knobs = {knob.setting: knob for knob in KNOBS}
        for setting, (_, chosen) in tuned.together.items():
            yield _line(f"{knobs[setting].figure}, {knobs[setting].unit}", chosen, is_chosen=False)
    yield ""
    if not tuned.chosen:
        yield "Keep the defaults: nothing that was tried is better beyond noise on this machine."
        return
    yield "For engine.toml:\n"
    last = {tried.knob.setting: tried for tried in tuned.tried}
    yield from (_setting(last[name], value) for name, value in tuned.chosen.items())


def _line(label: str, judged: Judged, *, is_chosen: bool) -> str:
    figure = judged.seen.figure
    guard = f", p99 {number(statistics.median(judged.seen.guard))} ms" if judged.seen.guard else ""
    verdict = "better, but latency is worse" if judged.verdict == "harms" else judged.verdict
    gain = f"{judged.gain:+.0%}, chance {judged.chance:.3f}: " if judged.verdict != "default" else ""
    return (
        f"{'→' if is_chosen else ' '} {label:>8}  {number(statistics.median(figure)):>10}"
        f"  ({number(min(figure))} to {number(max(figure))}{guard})  {gain}{verdict}"
    )


def _setting(tried: Tried, value: int) -> str:
    knob: Knob = tried.knob
    was = defaults()[knob.setting]
    return f"{knob.setting} = {value}  # not {was}: {tried.chosen.gain:+.0%} {knob.unit} {knob.figure}"


if __name__ == "__main__":
    sys.exit(main())

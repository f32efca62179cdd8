from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.tuning.__main__ import as_map, lines
from benchmarks.tuning.choosing import Seen, choose, judge
from benchmarks.tuning.tuning import KNOBS, Knob, Tuned, defaults, tune
from engine.config import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CALM = (100.0, 101.0, 102.0, 103.0, 104.0)


def seen(factor: float = 1.0, guard: float = 1.0) -> Seen:
    return Seen(tuple(value * factor for value in CALM), tuple(value * guard for value in CALM))


def verdicts(values: dict[int, Seen], better: str = "more") -> dict[int, str]:
    return {one.value: one.verdict for one in judge(values, 20, better)}  # type: ignore[arg-type]


def test_a_value_is_better_if_it_is_so_beyond_noise_and_by_a_twentieth() -> None:
    noisy = Seen((90.0, 150.0, 95.0, 160.0, 100.0))
    assert verdicts({20: seen(), 40: seen(1.2), 80: seen(0.5), 10: seen(1.04), 5: noisy}) == {
        20: "default",
        40: "better",
        80: "worse",
        10: "within noise",
        5: "within noise",
    }
    assert verdicts({20: seen(), 40: seen(0.5)}, "less") == {20: "default", 40: "better"}


def test_a_value_that_costs_latency_is_not_taken() -> None:
    judged = judge({20: seen(), 40: seen(1.5, guard=1.5), 80: seen(1.2, guard=1.01)}, 20, "more")
    assert [one.verdict for one in judged] == ["default", "harms", "better"]
    assert choose(judged).value == 80


def test_of_several_that_are_better_the_best_is_chosen_and_of_none_the_default() -> None:
    assert choose(judge({20: seen(), 40: seen(1.2), 80: seen(1.4)}, 20, "more")).value == 80
    assert choose(judge({20: seen(), 40: seen(1.01), 80: seen(0.4)}, 20, "more")).value == 20


class Machine:
    """Its best settings are known: each step away from one costs a quarter. A clock that runs a second a measurement."""

    def __init__(self, **best: int) -> None:
        self.best = best
        self.asked: list[tuple[str, list[Mapping[str, int]]]] = []
        self.now_s = 0.0

    def measured(self, knob: Knob, settings: Sequence[Mapping[str, int]]) -> list[Seen]:
        self.asked.append((knob.setting, list(settings)))
        self.now_s += 1
        return [seen(self._factor({**defaults(), **one})) for one in settings]

    def _factor(self, settings: Mapping[str, int]) -> float:
        return 0.75 ** sum(settings[name] != value for name, value in self.best.items())

    def tune(self, seconds: float = 100) -> Tuned:
        knobs = [
            Knob(name, values, "in hundreds", "events/s", "more", lambda _client, _share: 0.0)
            for name, values in (("frame_ms", (5, 40, 80)), ("spares", (2, 8)))
        ]
        return tune(seconds=seconds, measured=self.measured, knobs=knobs, now=lambda: self.now_s)


def test_each_setting_is_tried_with_what_was_chosen_before_until_nothing_changes() -> None:
    machine = Machine(frame_ms=40, spares=8)
    tuned = machine.tune()
    assert tuned.chosen == {"frame_ms": 40, "spares": 8}
    assert [name for name, _ in machine.asked] == [
        "frame_ms",
        "spares",
    ] * 3  # two passes, and all of it together
    assert all(one["frame_ms"] == 40 for one in machine.asked[1][1])
    assert [settings[0] for _, settings in machine.asked[4:]] == [{}, {}]
    text = "\n".join(lines(tuned))
    assert "frame_ms = 40  # not 20: +33% events/s in hundreds" in text
    assert "all of it together" in text
    assert as_map(tuned)["chosen"] == tuned.chosen


def test_where_nothing_is_better_the_defaults_stay_and_one_pass_is_enough() -> None:
    machine = Machine(frame_ms=20, spares=4)
    tuned = machine.tune()
    assert (tuned.chosen, tuned.together) == ({}, {})
    assert len(machine.asked) == 2
    assert "Keep the defaults" in "\n".join(lines(tuned))


def test_what_there_was_no_time_for_keeps_its_default_and_is_told() -> None:
    tuned = Machine(frame_ms=20, spares=8).tune(seconds=0.5)
    assert (tuned.chosen, tuned.untried) == ({}, ["spares"])
    assert re.search(r"spares: not tried.*--seconds", "\n".join(lines(tuned)))


@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.setting)
def test_every_value_that_is_tried_is_one_that_the_daemon_takes(knob: Knob) -> None:
    for value in (defaults()[knob.setting], *knob.values):
        assert getattr(load(None, {knob.setting: value}, {}), knob.setting) == value

from __future__ import annotations

import pytest

from benchmarks.peers import PROGRAM, SINGLY, times_as_fast
from benchmarks.peers.contestants import CONTESTANTS
from benchmarks.peers.work import handle
from benchmarks.suite.program import Skipped


def test_the_engine_is_compared_with_the_fastest_of_the_others() -> None:
    rates: dict[str, float | Skipped] = {"ours": 800.0, "slow": 10.0, "fast": 100.0}
    assert times_as_fast(rates, "ours", ("slow", "fast")) == 8.0


def test_without_one_of_the_others_nobody_knows_which_is_the_fastest() -> None:
    rates: dict[str, float | Skipped] = {"ours": 800.0, "slow": 10.0, "fast": Skipped("make peers")}
    assert times_as_fast(rates, "ours", ("slow", "fast")) == Skipped("make peers")


def test_every_contestant_says_what_it_gives_up_and_is_measured() -> None:
    measured = {measure.name for measure in PROGRAM.measures}
    for contestant in CONTESTANTS:
        assert contestant.durability
        assert contestant.isolation
        assert contestant.limits
        assert set(contestant.gives) <= measured
    assert set(SINGLY) <= measured


def test_the_plain_handler_does_the_work_of_the_restricted_one() -> None:
    assert handle({"type": "track", "event": "Order", "properties": {"revenue": 1}}) == 0
    with pytest.raises(KeyError):
        handle({"type": "track"})

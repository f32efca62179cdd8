from __future__ import annotations

import random

import pytest

from engine.journal.dedupe.filter import Filter
from engine.journal.dedupe.records import BUCKETS


def some_numbers(count: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.getrandbits(64) for _ in range(count)]


@pytest.mark.parametrize(("asked", "words"), [(1, BUCKETS), (1 << 20, 1 << 17), ((1 << 20) - 1, 1 << 16)])
def test_its_size_is_fixed_and_a_power_of_two(asked: int, words: int) -> None:
    assert len(Filter(asked).words) == words


def test_what_is_added_twice_at_once_is_known_the_second_time() -> None:
    assert Filter(1).add([5, 6, 5]) == {5}


def test_what_was_added_is_known_and_little_else() -> None:
    tested = Filter(1 << 20)
    added = some_numbers(500_000, 1)
    assert len(tested.add(added)) < 500_000 * 0.05  # 16 bits an id, at the end
    assert tested.add(added) == set(added)
    assert len(tested.add(some_numbers(1_000, 2))) < 1_000 * 0.05


def test_a_bucket_is_built_anew_and_no_other_changes() -> None:
    tested = Filter(1 << 20)
    tested.take_all_for_known()
    mine = [number for number in some_numbers(400_000, 3) if number % BUCKETS == 7]
    others = [number for number in some_numbers(2_000, 4) if number % BUCKETS != 7]
    tested.rebuild(7, mine[:50])
    assert tested.add(others) == set(others)
    assert tested.add(mine[:50]) == set(mine[:50])
    assert len(tested.add(mine[50:])) < len(mine) // 10

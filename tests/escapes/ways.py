"""The three tests of a family; each file of attempts imports them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from attempts import Attempt


def test_it_succeeds_in_plain_python(attempt: Attempt, as_plain_python: Callable[[Attempt], str]) -> None:
    assert re.search(attempt.reveals, as_plain_python(attempt))


def test_it_fails_as_a_function(attempt: Attempt, as_function: Callable[[Attempt], str]) -> None:
    assert not re.search(attempt.reveals, as_function(attempt))


def test_it_wins_nothing_in_the_jail(
    attempt: Attempt, in_the_jail: Callable[[Attempt], tuple[str, str]]
) -> None:
    shown, reached = in_the_jail(attempt)
    assert bool(re.search(attempt.reveals, shown)) == (attempt.jailed == "useless")
    assert "reached" not in reached

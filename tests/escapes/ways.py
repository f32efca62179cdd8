"""The tests of a family; each file of attempts imports them."""

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

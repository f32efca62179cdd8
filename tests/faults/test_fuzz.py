"""A few hundred of the cases of `fuzz.py`, always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults.fuzz import fuzz

if TYPE_CHECKING:
    from pathlib import Path


def test_what_strangers_send_is_no_error_of_ours(tmp_path: Path) -> None:
    fuzz(tmp_path, cases=300, number=1)

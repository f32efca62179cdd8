from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import benchmarks
from benchmarks.suite.program import FLOOR
from benchmarks.suite.programs import NAMES, method, program

FOLDER = Path(benchmarks.__file__).parent


@pytest.mark.parametrize("name", NAMES)
def test_a_program_says_how_it_measures_in_which_unit_and_after_which_warm_up(name: str) -> None:
    made = program(name)
    assert len(method(name)) > 40
    assert made.warm_up
    assert made.measures
    for measure in made.measures:
        assert measure.unit
        assert measure.baseline in {"", FLOOR, *(item.name for item in made.measures)} - {measure.name}


def test_no_two_figures_have_one_name() -> None:
    named = Counter(measure.name for name in NAMES for measure in program(name).measures)
    assert [name for name, count in named.items() if count > 1] == []


def test_every_module_with_a_program_is_in_the_table() -> None:
    having = {path.stem for path in FOLDER.glob("*.py") if "\nPROGRAM: Final" in path.read_text("utf-8")}
    assert having == {name for name in NAMES if (FOLDER / f"{name}.py").exists()}


def test_the_guide_tells_of_every_program() -> None:
    guide = (FOLDER / "README.md").read_text("utf-8")
    assert [name for name in NAMES if f"**{name}**" not in guide] == []

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from benchmarks.suite.comparing import compare
from benchmarks.suite.figures import Figure
from benchmarks.suite.latencies import Latencies
from benchmarks.suite.page import page
from benchmarks.suite.program import Measure
from benchmarks.suite.results import Result, load, path_of, save
from benchmarks.suite.summary import bar, change_lines, figure_lines, number

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert('&')</script>"


def histogram() -> str:
    latencies = Latencies()
    for ms in (1, 2, 3, 50):
        latencies.record(ms / 1000)
    return latencies.encoded()


def result() -> Result:
    figures = (
        Figure("floor", Measure("floor", "events/s"), (1000.0, 1100.0, 900.0)),
        Figure("through", Measure("one", "events/s", baseline="floor"), (500.0, 510.0), (0.5, 0.51)),
        Figure("through", Measure("ten", "events/s", baseline="floor"), (900.0, 700.0), (0.9, 0.7)),
        Figure("through", Measure("none", "events/s"), (), skipped=HOSTILE),
        Figure("late", Measure("late_p50", "ms", "less"), (2.0,), histogram=histogram()),
        Figure("late", Measure("late_p99", "ms", "less"), (-1.0,)),
    )
    return Result("2026-11-24T21:00:00+00:00", {"processor": HOSTILE}, {"runs": 3}, figures)


def test_the_page_is_well_formed_and_shows_every_figure() -> None:
    text = page(result(), {"through": f"how {HOSTILE}"})
    root = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    shown = "".join(root.itertext())
    for figure in result().figures:
        assert figure.measure.name in shown
    assert shown.count(HOSTILE) == 3
    assert not list(root.iter("script"))


def test_the_page_has_a_chart_a_unit_and_a_curve_for_latencies() -> None:
    root = ET.fromstring(page(result(), {}).removeprefix("<!DOCTYPE html>\n"))
    charts = [svg.get("aria-label") or "" for svg in root.iter("svg")]
    assert "one, ten" in charts
    assert "latency by percentile of late" in charts
    assert len(list(root.iter("polyline"))) == 1
    widths = [float(rect.get("width") or "-1") for rect in root.iter("rect")]
    assert min(widths) >= 0
    assert sum(circle.get("class") == "run" for circle in root.iter("circle")) == 6


def test_the_page_loads_nothing_and_follows_its_reader_into_the_dark() -> None:
    text = page(result(), {})
    assert not re.findall(r"""(?:src|href)\s*=|url\(|@import|https?:""", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(0, 4) == "    "
    assert bar(0.5, 4) == "██  "
    assert bar(1, 4) == bar(7, 4) == "████"
    assert bar(0.0625, 2) == "▏ "
    assert bar(-1, 2) == "  "


@pytest.mark.parametrize(
    ("value", "text"), [(1234567.8, "1,234,568"), (12.3456, "12.35"), (0.0123, "0.0123")]
)
def test_a_number_has_four_figures(value: float, text: str) -> None:
    assert number(value) == text


def test_the_summary_has_a_line_a_figure_with_spread_ratio_and_bar() -> None:
    one, ten, none = figure_lines(result().figures[1:4])
    assert "500 to 510, 2 runs" in one
    assert "0.505 of floor" in one
    assert ten.count("█") == 20 > one.count("█")
    assert "skipped: " in none


def test_the_comparison_says_what_changed_and_how_much_to_believe() -> None:
    before = [Figure("p", Measure("rate", "events/s"), (100.0, 101.0, 102.0, 103.0, 104.0))]
    after = [Figure("p", Measure("rate", "events/s"), (200.0, 201.0, 202.0, 203.0, 204.0))]
    line, _, last = change_lines(compare(before, after), chance_max=0.02)
    assert "102" in line
    assert "202" in line
    assert "better" in line
    assert last.startswith("1 of 1 figures changed beyond noise")
    assert "one in 50" in last


def test_a_result_is_saved_whole_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert save(result(), "before") == path_of("before")
    assert load("before") == load(".benchmarks/before.json") == result()
    assert [path.name for path in (tmp_path / ".benchmarks").iterdir()] == ["before.json"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b", "x" * 101])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        path_of(name)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"form": 1, "figures": [{}]}', '{"form": 2}'])
def test_what_is_no_result_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.json"):
        load(str(path))

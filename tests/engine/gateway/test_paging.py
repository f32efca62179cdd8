"""Pages of the Public API: both spellings, cursors that hold while the list changes."""

from __future__ import annotations

import pytest

from engine.gateway.public_api.paging import COUNT, Page, cursor_of, cut, page_of
from engine.gateway.public_api.refusals import Invalid

NAMES = ["a", "b", "c", "d", "e"]


def walk(names: list[str], count: int) -> list[list[str]]:
    pages, page = [], Page(count)
    while True:
        part, pagination = cut(names, page)
        pages.append(names[part])
        if pagination["next"] is None:
            return pages
        page = page_of({"pagination[count]": str(count), "pagination[cursor]": pagination["next"]})


@pytest.mark.parametrize(
    "query",
    [
        {"pagination": '{"count": 2, "cursor": "%s"}' % cursor_of("c")},  # noqa: UP031  braces
        {"pagination[count]": "2", "pagination[cursor]": cursor_of("c")},
        {"pagination.count": "2", "pagination.cursor": cursor_of("c")},
    ],
)
def test_each_spelling_means_the_same(query: dict[str, str]) -> None:
    assert page_of(query) == Page(2, "c")


def test_without_a_word_it_is_the_first_page() -> None:
    assert page_of({}) == Page(COUNT, "")


@pytest.mark.parametrize("count", [1, 2, 4, 5, 100])
def test_pages_hold_everything_once(count: int) -> None:
    assert [name for page in walk(NAMES, count) for name in page] == NAMES


def test_the_way_back_leads_over_the_same_pages() -> None:
    _, last = cut(NAMES, Page(2, "e"))
    part, middle = cut(NAMES, page_of({"pagination.count": "2", "pagination.cursor": last["previous"]}))
    assert NAMES[part] == ["c", "d"]
    assert (middle["totalEntries"], middle["current"]) == (5, cursor_of("c"))
    assert cut(NAMES, Page(2, "a"))[1]["previous"] is None


def test_what_is_removed_before_a_cursor_shifts_nothing() -> None:
    _, pagination = cut(NAMES, Page(2))
    rest = [name for name in NAMES if name not in {"a", "c"}]
    part, _ = cut(rest, page_of({"pagination[cursor]": pagination["next"]}))
    assert rest[part] == ["d", "e"]


def test_an_empty_list_has_one_empty_page() -> None:
    part, pagination = cut([], Page())
    assert [][part] == []
    assert (pagination["next"], pagination["previous"], pagination["totalEntries"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"pagination": "no"}, "pagination"),
        ({"pagination": "[]"}, "pagination"),
        ({"pagination": '{"count": 1, "more": 2}'}, "pagination"),
        ({"pagination": '{"count": "1"}'.replace('"1"', "true")}, "pagination.count"),
        ({"pagination[count]": "0"}, "pagination.count"),
        ({"pagination[count]": "1001"}, "pagination.count"),
        ({"pagination[count]": "-1"}, "pagination.count"),
        ({"pagination[count]": "²"}, "pagination.count"),
        ({"pagination[cursor]": "x"}, "pagination.cursor"),
        ({"pagination[cursor]": "Zm9v"}, "pagination.cursor"),
        ({"pagination": '{"cursor": 3}'}, "pagination.cursor"),
        ({"pagination[cursor]": "é"}, "pagination.cursor"),
    ],
)
def test_what_is_no_page_is_refused_with_the_field(query: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        page_of(query)
    assert refused.value.data["field"] == field

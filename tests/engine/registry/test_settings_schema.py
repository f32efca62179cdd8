"""What a function's settings may be, and which values fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.declared import name_from_label
from engine.errors import UsageError
from engine.model import Setting, SettingType
from engine.registry.settings_schema import check_values, parse_schema


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("API Key", "apiKey"),
        ("Api key", "apiKey"),
        ("Endpoint URL", "endpointUrl"),
        ("apiKey", "apiKey"),
        ("Region", "region"),
        ("max. items per call", "maxItemsPerCall"),
        ("HTTP2 port", "http2Port"),
        ("Schlüssel", "schlussel"),
        ("  spaced   out ", "spacedOut"),
    ],
)
def test_a_name_is_made_of_the_label(label: str, name: str) -> None:
    assert parse_schema([{"label": label}])[0].name == name_from_label(label) == name


def test_a_setting_says_what_it_is() -> None:
    (setting,) = parse_schema(
        [
            {
                "label": "API Key",
                "type": "STRING",
                "description": "of the shop",
                "required": True,
                "sensitive": True,
            }
        ]
    )
    assert setting == Setting("apiKey", "API Key", SettingType.STRING, "of the shop", True, True)
    assert parse_schema([setting.as_map()]) == (setting,)


def test_a_schema_is_refused_with_everything_that_is_wrong() -> None:
    with pytest.raises(UsageError) as caught:
        parse_schema(
            [
                {"label": "A", "type": "NUMBER"},
                {"label": "B", "requird": True, "sensitive": "yes"},
                "C",
                {},
                {"label": "E"},
                {"name": "e"},
                {"label": "数"},
                {"label": "G", "name": "not-a-name"},
                {"label": 5},
            ]
        )
    problems = caught.value.data["problems"]
    for part in (
        "setting 1 (A): type is one of STRING, BOOLEAN, ARRAY, TEXT_MAP, not 'NUMBER'",
        "setting 2 (B): 'requird' is no key; did you mean required?",
        "setting 2 (B): sensitive is true or false, not text",
        "setting 3: it is text, not an object",
        "setting 4: it has neither label nor name",
        "setting 6 has the name 'e', as setting 5",
        "setting 7 (数): a name made of the label, '',",
        "setting 8 (G): the name 'not-a-name'",
        "setting 9: label is text, not a number",
    ):
        assert any(problem.startswith(part) for problem in problems), part


SCHEMA = parse_schema(
    [
        {"label": "API Key", "required": True, "sensitive": True},
        {"label": "Is live", "type": "BOOLEAN", "required": True},
        {"label": "Regions", "type": "ARRAY"},
        {"label": "Names", "type": "TEXT_MAP"},
    ]
)


def test_values_come_in_the_order_of_the_schema_and_null_is_no_value() -> None:
    checked = check_values(SCHEMA, {"regions": ["eu"], "isLive": False, "apiKey": "k", "names": None})
    assert list(checked.items()) == [("apiKey", "k"), ("isLive", False), ("regions", ["eu"])]


def test_values_are_refused_with_everything_that_is_wrong_and_without_showing_them() -> None:
    secret = "s3cret-value"
    with pytest.raises(UsageError) as caught:
        check_values(SCHEMA, {"apikey": secret, "isLive": secret, "regions": [secret, 1], "names": [secret]})
    error = caught.value
    assert error.data["missing"] == ["apiKey"]
    assert [item["setting"] for item in error.data["problems"]] == [
        "apikey",
        "apiKey",
        "isLive",
        "regions",
        "names",
    ]
    assert "did you mean apiKey?" in error.message
    assert secret not in repr((error.message, error.remedy, error.data))


@pytest.mark.parametrize("empty", [{}, {"apiKey": None}, {"apiKey": ""}])
def test_an_empty_value_is_none(empty: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="required"):
        check_values(SCHEMA[:1], empty)


TEXT = st.text("ab", max_size=2)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    TEXT,
    st.lists(st.one_of(TEXT, st.integers()), max_size=3),
    st.dictionaries(TEXT, st.one_of(TEXT, st.booleans()), max_size=3),
)
NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
SCHEMAS = st.lists(
    st.builds(Setting, NAMES, st.just("label"), st.sampled_from(SettingType), required=st.booleans()),
    max_size=4,
    unique_by=lambda setting: setting.name,
)


def fits(kind: SettingType, value: Any) -> bool:
    """The plain model of a type."""
    if kind is SettingType.STRING:
        return isinstance(value, str)
    if kind is SettingType.BOOLEAN:
        return isinstance(value, bool)
    if kind is SettingType.ARRAY:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


@given(SCHEMAS, st.dictionaries(NAMES, VALUES))
def test_values_are_checked_as_the_plain_model_does(schema: list[Setting], values: dict[str, Any]) -> None:
    wrong = {name for name in values if name not in {setting.name for setting in schema}}
    for setting in schema:
        value = values.get(setting.name)
        if value is None or (setting.required and fits(setting.type, value) and value in ("", [], {})):
            wrong |= {setting.name} if setting.required else set()
        elif not fits(setting.type, value):
            wrong.add(setting.name)
    if not wrong:
        assert check_values(schema, values) == {
            name: value for name, value in values.items() if value is not None
        }
        return
    with pytest.raises(UsageError) as caught:
        check_values(schema, values)
    assert {item["setting"] for item in caught.value.data["problems"]} == wrong

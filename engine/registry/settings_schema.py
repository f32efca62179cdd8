"""What settings a function has, and whether values fit: pure, and every error at once.

A setting, as authors write it in `SETTINGS` or `function.toml`, and as the Public API carries it:

    {"label": "API Key", "name": "apiKey", "description": "…", "type": "STRING", "required": true, "sensitive": true}

| type     | value                        | counts as no value |
| -------- | ---------------------------- | ------------------ |
| STRING   | text                         | ""                 |
| BOOLEAN  | true or false                |                    |
| ARRAY    | a list of texts              | []                 |
| TEXT_MAP | a map of text to text        | {}                 |

Source of names and types: the document's "Create settings and secrets", and the Public API's `settings`.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final

from engine.declared import name_from_label
from engine.errors import UsageError
from engine.model import Setting, SettingType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SETTINGS_MAX: Final = 100
"""Settings of a function."""
NAME_CHARS_MAX: Final = 100
DESCRIPTION_CHARS_MAX: Final = 2_000
VALUE_CHARS_MAX: Final = 64 * 1024
"""All text of one value."""
ITEMS_MAX: Final = 1_000
"""Items of an ARRAY, entries of a TEXT_MAP."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def parse_schema(items: Any) -> tuple[Setting, ...]:
    """The settings that a function declares. Raises `UsageError` with everything that is wrong."""
    if not isinstance(items, list | tuple):
        raise UsageError(
            f"settings are a list of objects, not {_kind(items)}",
            remedy='write for example SETTINGS = [{"label": "API Key", "type": "STRING"}]',
        )
    problems: list[str] = []
    settings: list[Setting] = []
    if len(items) > SETTINGS_MAX:
        problems.append(f"there are {len(items)} settings; {SETTINGS_MAX} are allowed")
    seen: dict[str, int] = {}
    for place, item in enumerate(items[:SETTINGS_MAX], 1):
        found, setting = _parse_setting(item)
        problems += [f"setting {place}{_named(item)}: {problem}" for problem in found]
        if setting is None:
            continue
        if setting.name in seen:
            problems.append(f"setting {place} has the name {setting.name!r}, as setting {seen[setting.name]}")
        seen.setdefault(setting.name, place)
        settings.append(setting)
    if problems:
        raise UsageError(
            "; ".join(problems),
            remedy="a setting has label, name, description, type, required and sensitive",
            data={"problems": problems},
        )
    return tuple(settings)


_TEXTS: Final = {"label": NAME_CHARS_MAX, "name": NAME_CHARS_MAX, "description": DESCRIPTION_CHARS_MAX}
_FLAGS: Final = ("required", "sensitive")
_KEYS: Final = (*_TEXTS, "type", *_FLAGS)


def _parse_setting(item: Any) -> tuple[list[str], Setting | None]:
    """What is wrong with it; the setting if nothing is."""
    if not isinstance(item, dict):
        return [f"it is {_kind(item)}, not an object"], None
    problems = _shape_problems(item)
    if problems:
        return problems, None
    label, own_name = (item.get("label") or "").strip(), item.get("name") or ""
    name = own_name or name_from_label(label)
    if not _NAME.fullmatch(name) or len(name) > NAME_CHARS_MAX:
        shown = f"the name {name!r}" if own_name else f"a name made of the label, {name!r},"
        return [f"{shown} isn't a letter followed by letters, digits or _; give it a `name`"], None
    flags = {key: item.get(key, False) for key in _FLAGS}
    kind = SettingType(item.get("type", "STRING"))
    return [], Setting(name, label or name, kind, item.get("description") or "", **flags)


def _shape_problems(item: dict[Any, Any]) -> list[str]:
    problems = [f"{key!r} is no key{_close(str(key), _KEYS)}" for key in item if key not in _KEYS]
    for key, chars_max in _TEXTS.items():
        value = item.get(key)
        if value is not None and not isinstance(value, str):
            problems.append(f"{key} is text, not {_kind(value)}")
        elif value is not None and len(value) > chars_max:
            problems.append(f"{key} has {len(value)} characters; {chars_max} are allowed")
    problems += [
        f"{key} is true or false, not {_kind(item[key])}"
        for key in _FLAGS
        if type(item.get(key, False)) is not bool
    ]
    kind = item.get("type", "STRING")
    if not isinstance(kind, str) or kind not in SettingType.__members__:
        problems.append(f"type is one of {', '.join(SettingType)}, not {str(kind)[:40]!r}")
    if not item.get("label") and not item.get("name"):
        problems.append("it has neither label nor name")
    return problems


def check_values(schema: Sequence[Setting], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are set, in the schema's order. Raises `UsageError` with everything that is wrong.

    None is no value. The error's `data` has `problems` ({setting, problem} each) and `missing` (names of required
    settings without a value); it never holds a value.
    """
    by_name = {setting.name: setting for setting in schema}
    problems = [
        {"setting": str(name)[:NAME_CHARS_MAX], "problem": f"no such setting{_close(str(name), by_name)}"}
        for name in values
        if name not in by_name
    ]
    checked: dict[str, Any] = {}
    missing: list[str] = []
    for setting in schema:
        value = values.get(setting.name)
        problem = "" if value is None else _value_problem(setting.type, value)
        if problem:
            problems.append({"setting": setting.name, "problem": problem})
        elif setting.required and not _has_value(value):
            missing.append(setting.name)
            problems.append(
                {"setting": setting.name, "problem": f"required ({setting.label}), and has no value"}
            )
        elif value is not None:
            checked[setting.name] = value
    if problems:
        raise UsageError(
            "; ".join(f"{item['setting']}: {item['problem']}" for item in problems),
            remedy="set them with --set NAME=@FILE, --set NAME=- or --settings FILE"
            if missing
            else f"the function's settings: {', '.join(f'{item.name} ({item.type})' for item in schema) or 'none'}",
            data={"problems": problems, "missing": missing},
        )
    return checked


def _has_value(value: Any) -> bool:
    return value is not None and (type(value) is bool or len(value) > 0)


def _value_problem(kind: SettingType, value: Any) -> str:
    """Why the value isn't of the type; empty if it is. Never shows the value: it may be secret."""
    match kind:
        case SettingType.STRING:
            texts = [value]
            is_right = type(value) is str
        case SettingType.BOOLEAN:
            return "" if type(value) is bool else f"wants true or false, not {_kind(value)}"
        case SettingType.ARRAY:
            texts = list(value) if type(value) is list else []
            is_right = type(value) is list and all(type(item) is str for item in value)
        case SettingType.TEXT_MAP:
            texts = [*value, *value.values()] if type(value) is dict else []
            is_right = type(value) is dict and all(type(item) is str for item in texts)
    if not is_right:
        wanted = {"STRING": "text", "ARRAY": "a list of texts", "TEXT_MAP": "a map of text to text"}[kind]
        return f"wants {wanted}, not {_kind(value)}{'' if type(value) in {str, bool, int, float} else ' of other things'}"
    if kind is not SettingType.STRING and len(value) > ITEMS_MAX:
        return f"has {len(value)} items; {ITEMS_MAX} are allowed"
    chars = sum(map(len, texts))
    return f"has {chars} characters; {VALUE_CHARS_MAX} are allowed" if chars > VALUE_CHARS_MAX else ""


_KINDS: Final = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a map",
}


def _kind(value: Any) -> str:
    return "nothing" if value is None else _KINDS.get(type(value), type(value).__name__)


def _named(item: Any) -> str:
    label = item.get("label") or item.get("name") if isinstance(item, dict) else None
    return f" ({label:.40})" if isinstance(label, str) else ""


def _close(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name[:NAME_CHARS_MAX], list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""

"""What a function's author gives beside the code: manifest, settings, limits."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgpack

from engine.declared import declared_settings, name_from_label
from engine.errors import ConfigurationError, UsageError
from engine.paths import LIMIT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ABOUT_NAMES: Final = ("display_name", "description", "logo_url")
LIMIT_NAMES: Final = tuple(name for name, _ in LIMIT_OPTIONS)
_BLOCK: Final = re.compile(r"(?m)^# /// engine[ \t]*\r?\n((?:#(?: .*)?\r?\n)+?)# ///[ \t]*\r?$")
"""A block of inline metadata (PEP 723) of the type `engine`."""


def read_text(path: Path) -> str:
    """A file's text, or with `-` what comes on standard input. Raises `UsageError`."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}", remedy="name a file that exists"
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", remedy="save it as UTF-8") from None


def read_events(path: Path) -> list[dict[str, Any]]:
    """One JSON object, or an array of them. Raises `UsageError`."""
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is no JSON: {error}", remedy="give one event, or an array of events"
        ) from None
    if value == []:
        raise UsageError(f"{path} holds no event", remedy="give one event, or an array of events")
    return value if isinstance(value, list) else [value]


def name_of(file: Path) -> str:
    """What a destination is called if nobody says: the folder's name for `function.py`, else the file's."""
    name = file.resolve().parent.name if file.stem == "function" else file.stem
    if not name or name == "-":
        raise UsageError("the destination has no name", remedy="give it one with --name")
    return name


def read_manifest(file: Path, source: str) -> dict[str, Any]:
    """`function.toml` beside the code, or the same keys in a PEP 723 block of the type `engine`.

    Both together raise `ConfigurationError`, as do unknown keys and values of another type.
    """
    beside = file.parent / "function.toml"
    blocks = _BLOCK.findall(source)
    has_file = str(file) != "-" and beside.exists()
    if len(blocks) > 1 or (blocks and has_file):
        other = str(beside) if has_file else "a second block"
        raise ConfigurationError(
            f"{file} has a manifest in its comments, and there is {other}", remedy="keep one of them"
        )
    text, where = "", str(file)
    if blocks:
        text = "".join(
            line[2:] if line.startswith("# ") else line[1:] for line in blocks[0].splitlines(keepends=True)
        )
    elif has_file:
        text, where = read_text(beside), str(beside)
    try:
        manifest = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"the manifest in {where} is no TOML: {error}", remedy="mend the line it names"
        ) from None
    problems = _manifest_problems(manifest)
    if problems:
        raise ConfigurationError(
            f"the manifest in {where}: {'; '.join(problems)}",
            remedy=f"it may have {', '.join(('name', *ABOUT_NAMES, 'settings', 'filter', 'sources', *LIMIT_NAMES))}",
        )
    return manifest


def _manifest_problems(manifest: dict[str, Any]) -> list[str]:
    problems = []
    for key, value in manifest.items():
        if key in LIMIT_NAMES:
            if type(value) is not int:
                problems.append(f"{key} is a whole number, not {value!r}")
        elif key in {"name", "filter", *ABOUT_NAMES}:
            if not isinstance(value, str) or (key == "name" and not value):
                problems.append(f"{key} is text, not {value!r}")
        elif key == "settings":
            if not isinstance(value, dict | list):
                problems.append(f"settings is a table of values, or tables that declare them, not {value!r}")
        elif key == "sources":
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                problems.append(f"sources is a list of names, not {value!r}")
        else:
            problems.append(f"{key} is no key")
    return problems


def join_settings(
    manifest: dict[str, Any], path: Path | None, assignments: tuple[str, ...]
) -> dict[str, Any]:
    """The manifest's, over them the file's, over them each `--set`. Raises `UsageError` for what can't be stored."""
    listed = manifest.get("settings", {})
    settings = {
        **(listed if isinstance(listed, dict) else {}),
        **_read_settings(path),
        **parse_assignments(assignments),
    }
    for key, value in settings.items():
        try:
            msgpack.packb([key, value])
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(
                f"the setting {key} can't be stored: {error}", remedy="use the types that JSON has"
            ) from None
    return settings


def _read_settings(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    text = read_text(path)
    try:
        value = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} can't be parsed: {error}", remedy="give a JSON object or TOML") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} holds no object", remedy="give a JSON object or TOML")
    return value


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE` (JSON if it is, else text), `KEY=@FILE`, `KEY=-` for a line of standard input. Raises `UsageError`."""
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise UsageError(
                f"--set wants KEY=VALUE; {assignment.partition('=')[0]!r} lacks a part",
                remedy="for example --set prefix=demo, or --set apiKey=@key.txt",
            )
        if text == "-":
            settings[key] = sys.stdin.readline().rstrip("\r\n")
        elif text.startswith("@"):
            settings[key] = read_text(Path(text[1:])).rstrip("\r\n")
        else:
            try:
                settings[key] = json.loads(text)
            except (ValueError, RecursionError):
                settings[key] = text
    return settings


def join_limits(flags: dict[str, int | None], manifest: dict[str, Any]) -> dict[str, int]:
    """The manifest's, over them those given as flags."""
    from_manifest = {name: manifest[name] for name in LIMIT_NAMES if name in manifest}
    return {**from_manifest, **{name: value for name, value in flags.items() if value is not None}}


# --- A function's declarations, and what is chosen for a destination


def schema_of(manifest: dict[str, Any], source: str) -> list[Any] | None:
    """The settings that the function declares, in its manifest or as `SETTINGS`. Raises `ConfigurationError` for both."""
    declared = declared_settings(source)
    listed = manifest.get("settings") if isinstance(manifest.get("settings"), list) else None
    if declared is not None and listed is not None:
        raise ConfigurationError(
            "settings are declared in the code (SETTINGS) and in the manifest", remedy="keep one of them"
        )
    return declared if listed is None else listed


def about_of(manifest: dict[str, Any]) -> dict[str, str]:
    """What people see of the function."""
    return {name: manifest[name] for name in ABOUT_NAMES if name in manifest}


def filter_of(text: str | None) -> str | None:
    """A filter as it stands, or of `@FILE`. Raises `UsageError`."""
    return read_text(Path(text[1:])) if text is not None and text.startswith("@") else text


def chosen(
    given: Mapping[str, Any], schema: Sequence[Any] | None, manifest: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, int]]:
    """Settings and limits of `options.settings` and `options.limits`, over the manifest's.

    Raises `UsageError` if a sensitive value stands on the command line: others see it there, and a shell keeps it.
    """
    manifest = manifest or {}
    sensitive = {
        item.get("name") or name_from_label(str(item.get("label", "")))
        for item in schema or ()
        if isinstance(item, dict) and item.get("sensitive")
    }
    for assignment in given["assignments"]:
        key, _, text = assignment.partition("=")
        if key in sensitive and text != "-" and not text.startswith("@"):
            raise UsageError(
                f"{key} is sensitive: its value may not stand on a command line, where others see it",
                remedy=f"use --set {key}=@FILE, --set {key}=- (a line of standard input) or --settings FILE",
            )
    settings = join_settings(manifest, given["settings_path"], given["assignments"])
    return settings, join_limits({name: given.get(name) for name in LIMIT_NAMES}, manifest)


def ask(names: Sequence[str], schema: Sequence[Any]) -> dict[str, Any]:
    """Values of required settings, from whoever sits at the terminal; sensitive ones aren't echoed."""
    by_name = {
        item.get("name") or name_from_label(str(item.get("label", ""))): item
        for item in schema
        if isinstance(item, dict)
    }
    answers: dict[str, Any] = {}
    for name in names:
        item = by_name.get(name, {})
        label = f"{item.get('label') or name} ({name})"
        match item.get("type", "STRING"):
            case "BOOLEAN":
                answers[name] = click.confirm(label)
            case "ARRAY":
                text = click.prompt(f"{label}, separated by commas", hide_input=bool(item.get("sensitive")))
                answers[name] = [part.strip() for part in text.split(",") if part.strip()]
            case "TEXT_MAP":
                text = click.prompt(
                    f"{label}, KEY=VALUE separated by commas", hide_input=bool(item.get("sensitive"))
                )
                pairs = [part.partition("=") for part in text.split(",") if part.strip()]
                answers[name] = {key.strip(): value.strip() for key, _, value in pairs}
            case _:
                answers[name] = click.prompt(label, hide_input=bool(item.get("sensitive")))
    return answers

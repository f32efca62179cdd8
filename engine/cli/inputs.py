"""What a function's author gives beside the code: manifest, settings, limits."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import msgpack

from engine.errors import ConfigurationError, UsageError
from engine.paths import LIMIT_OPTIONS

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
            remedy=f"it may have {', '.join(('name', 'settings', *LIMIT_NAMES))}",
        )
    return manifest


def _manifest_problems(manifest: dict[str, Any]) -> list[str]:
    problems = []
    for key, value in manifest.items():
        if key in LIMIT_NAMES:
            if type(value) is not int:
                problems.append(f"{key} is a whole number, not {value!r}")
        elif key == "name":
            if not isinstance(value, str) or not value:
                problems.append(f"name is text, not {value!r}")
        elif key == "settings":
            if not isinstance(value, dict):
                problems.append(f"settings is a table, not {value!r}")
        else:
            problems.append(f"{key} is no key")
    return problems


def join_settings(
    manifest: dict[str, Any], path: Path | None, assignments: tuple[str, ...]
) -> dict[str, Any]:
    """The manifest's, over them the file's, over them each `--set`. Raises `UsageError` for what can't be stored."""
    settings = {**manifest.get("settings", {}), **_read_settings(path), **parse_assignments(assignments)}
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

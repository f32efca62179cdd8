"""`engine init`, `test`, `deploy`: what has to do with a function's source."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import click

from engine.cli import output
from engine.errors import ConfigurationError, FunctionRefused, UsageError
from engine.paths import LIMIT_OPTIONS
from sandbox.wire import EVENT_TYPES

_SCRIPT = re.compile(r"(?m)^# /// engine\s*$\n((?:^#.*$\n)+?)^# ///\s*$")
_TEMPLATES = Path(__file__).parent.parent / "templates"


def _limits(command: Any) -> Any:
    for name, help_text in reversed(LIMIT_OPTIONS):
        command = click.option(f"--{name.replace('_', '-')}", name, type=int, help=help_text)(command)
    return command


def _settings_options(command: Any) -> Any:
    command = click.option(
        "--settings", "settings_path", type=click.Path(path_type=Path), help="JSON or TOML file."
    )(command)
    return click.option(
        "--set", "assignments", multiple=True, help="KEY=VALUE, KEY=@FILE, or KEY=- for standard input."
    )(command)


@click.command("deploy")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Of the destination; else the manifest's, else the file's.")
@_settings_options
@_limits
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def deploy_command(
    file: Path,
    name: str | None,
    assignments: tuple[str, ...],
    settings_path: Path | None,
    is_json: bool,
    **limits: int | None,
) -> int:
    """Deploy a function as a destination."""
    from engine.client import Client  # noqa: PLC0415  only now: `test` needs no client

    source = read_source(file)
    manifest = read_manifest(file, source)
    name = name or manifest.get("name") or _name_of(file)
    settings = {
        **manifest.get("settings", {}),
        **read_settings(settings_path),
        **parse_assignments(assignments),
    }
    with Client() as client:
        try:
            deployed = client.deploy(
                name, source, settings=settings, limits=_chosen(limits, manifest), filename=file.name
            )
        except FunctionRefused as error:
            if is_json:
                output.as_json({"ok": False, "error": error.message, **error.data})
            else:
                output.diagnostics(error.data, str(file))
                click.echo(f"engine: {error}", err=True)
            return error.exit_status
    if is_json:
        output.as_json({"ok": True, **deployed})
        return 0
    click.echo(
        f"{'created' if deployed['created'] else 'updated'} {output.clean(name)}, version {deployed['version']}"
    )
    for handler in deployed["handlers"]:
        kind = "async def" if handler["async"] else "def"
        click.echo(f"  {handler['name']:12} {handler['type']:10} {kind} at line {handler['line']}")
    output.logs(deployed["logs"])
    return 0


@click.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--event", "event_path", type=click.Path(path_type=Path), help="A JSON object, or an array of them."
)
@click.option("--sample", type=click.Choice(EVENT_TYPES), help="A sample event of this type.")
@click.option(
    "--batch", "batch_path", type=click.Path(path_type=Path), help="A JSON array of events for on_batch."
)
@_settings_options
@_limits
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def test_command(  # noqa: PLR0917  click passes options by name
    file: Path,
    event_path: Path | None,
    sample: str | None,
    batch_path: Path | None,
    assignments: tuple[str, ...],
    settings_path: Path | None,
    is_json: bool,
    **limits: int | None,
) -> int:
    """Run a function on events in a jailed worker, without a daemon. Alone: a sample event for each handler."""
    from engine import log  # noqa: PLC0415  heavy
    from engine.daemon import run_tests  # noqa: PLC0415  heavy

    log.configure(log_format="text", level="error")
    source = read_source(file)
    manifest = read_manifest(file, source)
    if batch_path is not None:
        events = _read_events(batch_path)
    elif event_path is not None:
        events = _read_events(event_path)
    else:
        samples = json.loads((_TEMPLATES / "samples.json").read_text("utf-8"))
        events = [samples[sample]] if sample else [samples[kind] for kind in _handled_types(source)]
    settings = {
        **manifest.get("settings", {}),
        **read_settings(settings_path),
        **parse_assignments(assignments),
    }
    try:
        results = run_tests(
            source=source,
            filename=file.name,
            events=events,
            settings=settings,
            limits=_chosen(limits, manifest),
            batch=batch_path is not None,
        )
    except FunctionRefused as error:
        if is_json:
            output.as_json(
                {"ok": False, "result": None, "error": error.data.get("error") or error.data, "logs": []}
            )
        else:
            output.diagnostics(error.data, str(file))
            click.echo(f"engine: {error}", err=True)
        return 1
    if is_json:
        output.as_json(results[0] if len(results) == 1 else {"results": results})
    else:
        for event, result in zip(events, results, strict=True):
            _show_result(event, result, file, source)
    return 0 if all(result["ok"] for result in results) else 1


def _show_result(event: dict[str, Any], result: dict[str, Any], file: Path, source: str) -> None:
    word = "ok" if result["ok"] else "FAILED"
    click.echo(f"{event.get('type')}: {word} in {result['duration_ms']} ms")
    output.logs(result["logs"])
    if result["result"] is not None:
        click.echo(f"  returned {output.clean(result['result'])[:1000]}")
    if result["error"]:
        output.error_lines(result["error"], str(file), source)


def _handled_types(source: str) -> list[str]:
    kinds = [
        kind
        for kind in EVENT_TYPES
        if re.search(rf"(?m)^\s*(?:async\s+)?def\s+on_?{kind}\b", source, re.IGNORECASE)
    ]
    return kinds or ["track"]


def _read_events(path: Path) -> list[dict[str, Any]]:
    try:
        value = json.loads(_read_text(path))
    except ValueError as error:
        raise UsageError(
            f"{path} is no JSON: {error}", remedy="give one event, or an array of events"
        ) from None
    return value if isinstance(value, list) else [value]


@click.command("init")
@click.argument("name")
@click.option("--batch", "is_batch", is_flag=True, help="With a batch handler.")
def init_command(name: str, is_batch: bool) -> None:
    """Write a new function: code, manifest, sample events, a test."""
    folder = Path(name)
    if folder.exists():
        raise UsageError(f"{folder} exists already", remedy="choose another name, or remove it")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,119}", folder.name):
        raise UsageError(f"{folder.name!r} is no good name", remedy="use letters, digits, '.', '_' and '-'")
    (folder / "events").mkdir(parents=True)
    code = (_TEMPLATES / ("function_batch.py" if is_batch else "function.py")).read_text("utf-8")
    (folder / "function.py").write_text(code, "utf-8")
    (folder / "function.toml").write_text(
        f'name = "{folder.name}"\ntimeout_ms = 5000\n\n[settings]\nprefix = "demo"\n', "utf-8"
    )
    (folder / f"test_{re.sub(r'[^A-Za-z0-9_]', '_', folder.name)}.py").write_text(
        (_TEMPLATES / "test_function.py").read_text("utf-8"), "utf-8"
    )
    samples = json.loads((_TEMPLATES / "samples.json").read_text("utf-8"))
    for kind in ("track", "identify"):
        (folder / "events" / f"{kind}.json").write_text(json.dumps(samples[kind], indent=2) + "\n", "utf-8")
    click.echo(
        f"wrote {folder}/\n\n    cd {folder}\n    engine test function.py\n    engine deploy function.py"
    )


# --- Files


def _read_text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}", remedy="name a file that exists"
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", remedy="save it as UTF-8") from None


def read_source(path: Path) -> str:
    """A function's source. Raises `UsageError`."""
    return _read_text(path)


def _name_of(file: Path) -> str:
    return file.resolve().parent.name if file.stem == "function" else file.stem


def read_manifest(file: Path, source: str) -> dict[str, Any]:
    """`function.toml` beside the code, or the same keys in a PEP 723 block of type `engine`. Raises `ConfigurationError`."""
    beside = file.parent / "function.toml"
    match = _SCRIPT.search(source)
    text, where = "", str(file)
    if match:
        text = "".join(
            line[2:] if line.startswith("# ") else line[1:]
            for line in match.group(1).splitlines(keepends=True)
        )
    elif beside.exists():
        text, where = _read_text(beside), str(beside)
    try:
        manifest = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"the manifest in {where} is no TOML: {error}", remedy="mend the line it names"
        ) from None
    known = {"name", "settings", *(name for name, _ in LIMIT_OPTIONS)}
    unknown = sorted(set(manifest) - known)
    if unknown:
        raise ConfigurationError(
            f"the manifest in {where} has unknown keys: {', '.join(unknown)}",
            remedy=f"it may have {', '.join(sorted(known))}",
        )
    return manifest


def read_settings(path: Path | None) -> dict[str, Any]:
    """A JSON or TOML file of settings. Raises `UsageError`."""
    if path is None:
        return {}
    text = _read_text(path)
    try:
        value = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path} can't be parsed: {error}", remedy="give a JSON object or TOML") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} holds no object", remedy="give a JSON object or TOML")
    return value


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE` (JSON if it is, else text), `KEY=@FILE`, `KEY=-`. Raises `UsageError`."""
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise UsageError(
                "--set wants KEY=VALUE", remedy="for example --set prefix=demo, or --set apiKey=@key.txt"
            )
        if text == "-":
            settings[key] = sys.stdin.readline().rstrip("\n")
        elif text.startswith("@"):
            settings[key] = _read_text(Path(text[1:])).rstrip("\n")
        else:
            try:
                settings[key] = json.loads(text)
            except ValueError:
                settings[key] = text
    return settings


def _chosen(limits: dict[str, int | None], manifest: dict[str, Any]) -> dict[str, int]:
    from_manifest = {name: manifest[name] for name, _ in LIMIT_OPTIONS if name in manifest}
    return {**from_manifest, **{name: value for name, value in limits.items() if value is not None}}

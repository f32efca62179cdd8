"""`engine init`, `test`: a function on its author's machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import click
import msgpack

from engine.cli import inputs, mocks, options, output
from engine.errors import FunctionRefused, UsageError
from sandbox.wire import EVENT_TYPES

BODY_BYTES_SHOWN: Final = 4 * 1024
BODY_BYTES_RECORDED: Final = 256 * 1024
_TEMPLATES: Final = Path(__file__).parent.parent / "templates"


@click.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--event", "event_path", type=click.Path(path_type=Path), help="A JSON object, or an array of them."
)
@click.option("--sample", type=click.Choice(EVENT_TYPES), help="A sample event of this type.")
@click.option("--from", "source", metavar="SOURCE", help="What this source sent last (asks the daemon).")
@click.option(
    "--batch", "batch_path", type=click.Path(path_type=Path), help="A JSON array of events for on_batch."
)
@click.option(
    "--mock", "mock_path", type=click.Path(path_type=Path), help="Answer fetch from this file; call nothing."
)
@click.option(
    "--record", "record_path", type=click.Path(path_type=Path), help="Write what was answered, for --mock."
)
@click.option("--allow", multiple=True, metavar="HOST[:PORT]", help="May be called although it isn't public.")
@options.settings
@options.limits
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def test_command(
    *,
    file: Path,
    event_path: Path | None,
    sample: str | None,
    source: str | None,
    batch_path: Path | None,
    mock_path: Path | None,
    record_path: Path | None,
    allow: tuple[str, ...],
    assignments: tuple[str, ...],
    settings_path: Path | None,
    is_json: bool,
    **limits: int | None,
) -> int:
    """Run a function on events in a jailed worker, without a daemon. Alone: a sample event for each handler."""
    if sum(given is not None for given in (event_path, sample, source, batch_path)) > 1:
        raise UsageError(
            "--event, --sample, --from and --batch exclude each other", remedy="give one of them"
        )
    code = inputs.read_text(file)
    manifest = inputs.read_manifest(file, code)
    settings = inputs.join_settings(manifest, settings_path, assignments)
    chosen = inputs.join_limits(limits, manifest)
    groups = _sent_by(source, code) if source is not None else _groups(code, event_path, sample, batch_path)
    try:
        results = _run(
            groups,
            source=code,
            filename=file.name,
            settings=settings,
            limits=chosen,
            allow=allow,
            mocks=mocks.read(mock_path) if mock_path is not None else None,
            trace_body_bytes=BODY_BYTES_RECORDED if record_path is not None else BODY_BYTES_SHOWN,
        )
    except FunctionRefused as error:
        if is_json:
            output.as_json(_refused(error))
        else:
            output.diagnostics(error.data, str(file), code)
            click.echo(f"engine: {output.clean(error.message)}", err=True)
        return 1
    if is_json:
        output.as_json(results[0] if len(results) == 1 else {"results": results})
    else:
        events = (event for group, _ in groups for event in group)
        for event, result in zip(events, results, strict=True):
            _show_result(event, result, file, code)
    if record_path is not None:
        count = mocks.write(record_path, results)
        click.echo(f"wrote {count} answers to {output.clean(record_path)}", err=True)
    return 0 if all(result["ok"] for result in results) else 1


def _sent_by(source: str, code: str) -> list[tuple[list[dict[str, Any]], bool]]:
    """What a source sent last, of the types that the code handles. Raises `UsageError` if there is nothing."""
    from engine.client import Client  # noqa: PLC0415  only now: other tests need no daemon

    with Client() as client:
        events = [msgpack.unpackb(body) for body in client.sources.samples(source)]
    handled = [event for event in events if _defines(code, event["type"]) or _defines(code, "batch")]
    if not handled:
        raise UsageError(
            f"{source} has sent nothing lately that {'any' if not events else 'this'} function handles",
            remedy="send something, or try --sample TYPE; `engine source show` says how many events are kept",
        )
    singles = [event for event in handled if _defines(code, event["type"])]
    groups = [(singles, False)] if singles else []
    return [*groups, (handled, True)] if _defines(code, "batch") else groups


def _groups(
    source: str, event_path: Path | None, sample: str | None, batch_path: Path | None
) -> list[tuple[list[dict[str, Any]], bool]]:
    """(events, whether they are one batch) to run."""
    if batch_path is not None:
        return [(inputs.read_events(batch_path), True)]
    if event_path is not None:
        return [(inputs.read_events(event_path), False)]
    samples = json.loads((_TEMPLATES / "samples.json").read_text("utf-8"))
    if sample is not None:
        return [([samples[sample]], False)]
    kinds = [kind for kind in EVENT_TYPES if _defines(source, kind)]
    is_batching = _defines(source, "batch")
    groups = [([samples["track"], samples["identify"]], True)] if is_batching else []
    if kinds or not is_batching:
        groups.insert(0, ([samples[kind] for kind in kinds or ("track",)], False))
    return groups


def _defines(source: str, kind: str) -> bool:
    """Only to choose samples; which handlers there are the worker says."""
    return re.search(rf"(?mi)^\s*(?:async\s+)?def\s+on_?{kind}\b", source) is not None


def _run(groups: list[tuple[list[dict[str, Any]], bool]], **function: Any) -> list[dict[str, Any]]:
    from engine import log  # noqa: PLC0415  heavy
    from engine.workbench import run_tests  # noqa: PLC0415  heavy

    log.configure(log_format="text", level="error")
    return run_tests(groups, **function)


def _refused(error: FunctionRefused) -> dict[str, Any]:
    """A result like any other, of a function that could not be run."""
    diagnostics = error.data.get("diagnostics") or []
    reason = error.data.get("error")
    if not isinstance(reason, dict):
        first = diagnostics[0] if diagnostics else {"message": error.message, "line": None, "column": None}
        reason = {
            "code": error.code,
            "type": "CompileRefused",
            **{key: first[key] for key in ("message", "line", "column")},
            "traceback": [],
            "diagnostics": diagnostics,
        }
    logs = error.data.get("logs") or []
    return {"ok": False, "result": None, "error": reason, "logs": logs, "requests": [], "duration_ms": 0.0}


def _show_result(event: dict[str, Any], result: dict[str, Any], file: Path, source: str) -> None:
    word = "ok" if result["ok"] else "FAILED"
    click.echo(f"{event['type']}: {word} in {result['duration_ms']} ms")
    output.requests(result["requests"])
    output.logs(result["logs"])
    if result["result"] is not None:
        click.echo(f"  returned {output.clean(result['result'])[:1000]}")
    if result["error"]:
        output.error_lines(result["error"], str(file), source)


@click.command("init")
@click.argument("name")
@click.option("--batch", "is_batch", is_flag=True, help="With a batch handler.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def init_command(name: str, is_batch: bool, is_json: bool) -> None:
    """Write a new function: code, manifest, sample events, a test."""
    folder = Path(name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", folder.name):
        raise UsageError(
            f"{folder.name!r} is no good name", remedy="use letters, digits, '.', '_' and '-', at most 120"
        )
    samples = json.loads((_TEMPLATES / "samples.json").read_text("utf-8"))
    files = {
        "function.py": _template("function_batch.py" if is_batch else "function.py"),
        "function.toml": f'name = "{folder.name}"\ntimeout_ms = 5000\n\n[settings]\nprefix = "demo"\n',
        "test_function.py": _template("test_function_batch.py" if is_batch else "test_function.py"),
        **{
            f"events/{kind}.json": json.dumps(samples[kind], indent=2) + "\n"
            for kind in ("track", "identify")
        },
    }
    try:
        folder.mkdir(parents=True)
        (folder / "events").mkdir()
        for path, text in files.items():
            (folder / path).write_text(text, "utf-8")
    except FileExistsError:
        raise UsageError(f"{folder} exists already", remedy="choose another name, or remove it") from None
    except OSError as error:
        raise UsageError(
            f"{folder} can't be written: {error.strerror}", remedy="choose another place"
        ) from None
    if is_json:
        output.as_json({"folder": str(folder), "files": list(files)})
    else:
        click.echo(
            f"wrote {folder}/: {', '.join(files)}\n\n"
            f"    cd {folder}\n    engine test function.py\n    engine deploy function.py"
        )


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")

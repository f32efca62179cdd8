"""`engine submit`, `logs`."""

from __future__ import annotations

import codecs
import contextlib
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

import click

from engine.cli import output
from engine.client import Client, SubmitResult
from engine.errors import EngineError, InvalidEvent, UsageError
from engine.events import encode_event, encode_events
from sandbox.wire import CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

REASONS_SHOWN: Final = 5
WHOLE_BYTES_MAX: Final = 1 << 20
"""How much of a file may be one JSON object over several lines; an event is far smaller."""
_BLANK: Final = re.compile(r"[ \t\n\r]*")


@click.command("submit")
@click.argument("arguments", nargs=-1, metavar="[NAME] [FILE]")
@click.option(
    "--source", metavar="SOURCE", help="From this source, to all that are connected; without NAME then."
)
@click.option("--wait", is_flag=True, help="Until every event has had its first outcome.")
@click.option("--skip-invalid", is_flag=True, help="Send the valid events even if others are not.")
@click.option(
    "--no-dedupe", is_flag=True, help="Deliver events with a messageId that was accepted before, too."
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def submit_command(
    arguments: tuple[str, ...],
    *,
    source: str | None,
    wait: bool,
    skip_invalid: bool,
    no_dedupe: bool,
    is_json: bool,
) -> int:
    """Send events to the destination NAME, or from a source: a JSON object, an array or NDJSON, from FILE or standard input."""
    begun = time.monotonic()
    name, file = _addressed(arguments, source)
    with Client() as client, _opened(file) as stream:
        survey = _check(stream)
        if survey.refused and not skip_invalid:
            for reason in survey.reasons:
                click.echo(f"engine: {output.clean(reason)}", err=True)
            raise InvalidEvent(
                f"{survey.refused} of {survey.valid + survey.refused} events can't be sent; nothing was submitted",
                remedy="mend them, or send the others with --skip-invalid",
            )
        stream.seek(0)
        options = {"wait": wait, "dedupe": not no_dedupe, "to_source": source is not None}
        total = _send(client, name, stream, survey.valid, options)
    total.elapsed_ms = round((time.monotonic() - begun) * 1000, 3)
    _report(total, survey, wait=wait, is_json=is_json)
    if total.retrying:
        return 75
    return 1 if wait and (total.dead or total.discarded - _harmless(total)) else 0


def _after_blank(text: str, at: int) -> int:
    """The place of the next character that isn't white space."""
    blank = _BLANK.match(text, at)
    assert blank is not None, "the pattern matches nothing, too"
    return blank.end()


def _addressed(arguments: tuple[str, ...], source: str | None) -> tuple[str, str]:
    """Whom the events are for, and the file they come from. Raises `UsageError`."""
    *names, file = arguments if len(arguments) + (source is not None) > 1 else (*arguments, "-")
    names += [source] if source is not None else []
    if len(names) != 1:
        raise UsageError(
            "submit wants one destination, or --source with a source, and at most one file",
            remedy="engine submit NAME [FILE], or engine submit --source SOURCE [FILE]",
        )
    return names[0], file


def _send(client: Client, name: str, stream: IO[bytes], count: int, options: dict[str, bool]) -> SubmitResult:
    """Submit what can be sent, with a progress bar if somebody is there to see it."""
    total = SubmitResult()
    if not count:  # one that doesn't exist is an error of an empty file too
        _ = client.sources.show(name) if options["to_source"] else client.show(name)
    bar: Any = (
        click.progressbar(length=count, label=f"to {output.clean(name)}", file=sys.stderr)
        if sys.stderr.isatty()
        else contextlib.nullcontext()
    )
    try:
        with bar:
            for result in client.submit_many(name, _batches(stream), **options):
                total.add(result)
                if sys.stderr.isatty():
                    bar.update(result.accepted + result.duplicates)
    except EngineError as error:
        if taken := total.accepted + total.duplicates:
            error.message += f" (after {taken} events, which were accepted)"
        raise
    return total


def _harmless(total: SubmitResult) -> int:
    return sum(total.by_code.get(code, 0) for code in ("dropped", "filtered", "unsupported_event_type"))


def _report(total: SubmitResult, survey: Survey, *, wait: bool, is_json: bool) -> None:
    if is_json:
        names = (
            "accepted",
            "delivered",
            "discarded",
            "retrying",
            "dead",
            "duplicates",
            "by_code",
            "elapsed_ms",
        )
        skipped = {"skipped": survey.refused} if survey.refused else {}
        output.as_json({**{name: getattr(total, name) for name in names}, **skipped})
        return
    click.echo(f"accepted {total.accepted} events in {total.elapsed_ms:.0f} ms")
    if total.duplicates:
        click.echo(f"{total.duplicates} duplicates, accepted before: not delivered")
    if survey.refused:
        click.echo(f"skipped {survey.refused} that can't be sent:")
        for reason in survey.reasons:
            click.echo(f"  {output.clean(reason)}")
    if wait:
        rows = [{"outcome": code, "events": count} for code, count in sorted(total.by_code.items())]
        output.table(rows, ["outcome", "events"])
        for code, error in total.first_errors.items():
            line = f" at line {error['line']}" if error.get("line") else ""
            click.echo(
                f"first {code}{line}: {output.clean(error.get('type', ''))}: {output.clean(error.get('message', ''))}"
            )


@contextlib.contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    """The file, or what comes on standard input kept in a temporary file: it is read twice."""
    if file != "-":
        try:
            with open(file, "rb") as stream:  # noqa: PTH123  bytes, read twice
                yield stream
        except OSError as error:
            if error.filename != file:
                raise
            raise UsageError(
                f"{file} can't be read: {error.strerror}", remedy="name a file that exists"
            ) from None
        return
    if sys.stdin.isatty():
        click.echo("reading events from the terminal; end with Ctrl-D", err=True)
    with tempfile.TemporaryFile() as spool:
        while data := sys.stdin.buffer.read(1 << 20):
            spool.write(data)
        spool.seek(0)
        yield spool


def _load(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _parsed(stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """(line, event) each; what is no JSON gives an `InvalidEvent` in the event's place."""
    if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        stream.seek(0)
    is_first = True
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        if is_first and line.lstrip().startswith(b"["):
            yield from _parsed_array(line + stream.read(), number)
            return
        try:
            yield number, _load(line)
        except (ValueError, RecursionError) as error:
            if is_first and (whole := _whole_object(stream, line)) is not None:
                yield number, whole
                return
            yield number, InvalidEvent(f"it is no JSON: {error}", remedy="send one JSON object a line")
        is_first = False


def _parsed_array(data: bytes, line: int) -> Iterator[tuple[int, Any]]:
    """The items of a JSON array that begins on `line`, each with its own line."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    at = counted = 0
    try:
        text = data.decode()
        at = _after_blank(text, text.index("[") + 1)
        if text.startswith("]", at):
            _expect_end(text, at + 1)
            return
        while True:
            event, end = decoder.raw_decode(text, at)
            line, counted = line + text.count("\n", counted, at), at
            yield line, event
            at = _after_blank(text, end)
            if text.startswith("]", at):
                _expect_end(text, at + 1)
                return
            if not text.startswith(",", at):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
            at = _after_blank(text, at + 1)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            line += error.doc.count("\n", counted, error.pos)
        yield line, InvalidEvent(f"it is no JSON array: {error}", remedy="mend the JSON")


def _expect_end(text: str, at: int) -> None:
    end = _after_blank(text, at)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def _whole_object(stream: IO[bytes], head: bytes) -> Any:
    """One JSON object over several lines, if that is what the stream holds."""
    at = stream.tell()
    text = head + stream.read(WHOLE_BYTES_MAX)
    stream.seek(at)
    try:
        return _load(text)
    except (ValueError, RecursionError):
        return None


@dataclass(slots=True)
class Survey:
    """What a file holds."""

    valid: int = 0
    refused: int = 0
    reasons: list[str] = field(default_factory=list)
    """Why the first of them can't be sent."""


def _check(stream: IO[bytes]) -> Survey:
    survey = Survey()
    for line, event in _parsed(stream):
        try:
            if isinstance(event, InvalidEvent):
                raise event
            encode_event(event)
            survey.valid += 1
        except InvalidEvent as error:
            survey.refused += 1
            if len(survey.reasons) < REASONS_SHOWN:
                survey.reasons.append(f"line {line}: {error.message}")
    return survey


def _batches(stream: IO[bytes]) -> Iterator[Any]:
    """The valid events, as columns of a chunk's size."""
    batch: list[dict[str, Any]] = []
    size = 0
    for _, event in _parsed(stream):
        try:
            if isinstance(event, InvalidEvent):
                continue
            _, _, _, body = encode_event(event)
        except InvalidEvent:
            continue
        if batch and (len(batch) == CHUNK_EVENTS_MAX or size + len(body) > CHUNK_BYTES_MAX):
            yield encode_events(batch)
            batch, size = [], 0
        batch.append(event)
        size += len(body)
    if batch:
        yield encode_events(batch)

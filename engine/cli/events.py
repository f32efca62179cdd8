"""`engine submit`, `logs`."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any

import click

from engine.cli import output
from engine.client import Client, SubmitResult
from engine.errors import InvalidEvent, UsageError
from engine.events import encode_event, encode_events
from sandbox.wire import CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

REASONS_SHOWN = 5


@click.command("submit")
@click.argument("name")
@click.argument("file", default="-")
@click.option("--wait", is_flag=True, help="Until every event has had its first outcome.")
@click.option("--skip-invalid", is_flag=True, help="Send the valid events even if others are not.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def submit_command(name: str, file: str, wait: bool, skip_invalid: bool, is_json: bool) -> int:
    """Send events to a destination: a JSON object, a JSON array or NDJSON, from FILE or standard input."""
    begun = time.monotonic()
    with _opened(file) as stream, Client() as client:
        invalid = _check(stream)
        if invalid and not skip_invalid:
            count, reasons = invalid
            for reason in reasons:
                click.echo(f"engine: {reason}", err=True)
            raise InvalidEvent(
                f"{count} of the events can't be sent; nothing was submitted",
                remedy="mend them, or send the others with --skip-invalid",
            )
        total = SubmitResult()
        stream.seek(0)
        is_terminal = sys.stderr.isatty()
        for result in client.submit_many(name, _batches(stream), wait=wait):
            total.add(result)
            if is_terminal:
                click.echo(f"\r{total.accepted} events", nl=False, err=True)
        if is_terminal:
            click.echo("\r", nl=False, err=True)
    total.elapsed_ms = round((time.monotonic() - begun) * 1000, 3)
    _report(total, invalid, wait=wait, is_json=is_json)
    if total.retrying:
        return 75
    return 1 if wait and (total.dead or total.discarded - _harmless(total)) else 0


def _harmless(total: SubmitResult) -> int:
    return sum(total.by_code.get(code, 0) for code in ("dropped", "filtered", "unsupported_event_type"))


def _report(total: SubmitResult, invalid: tuple[int, list[str]] | None, *, wait: bool, is_json: bool) -> None:
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
        skipped = {"skipped": invalid[0]} if invalid else {}
        output.as_json({**{name: getattr(total, name) for name in names}, **skipped})
        return
    click.echo(f"accepted {total.accepted} events in {total.elapsed_ms:.0f} ms")
    if invalid:
        click.echo(f"skipped {invalid[0]} that can't be sent:")
        for reason in invalid[1]:
            click.echo(f"  {reason}")
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
    with tempfile.TemporaryFile() as spool:
        while data := sys.stdin.buffer.read(1 << 20):
            spool.write(data)
        spool.seek(0)
        yield spool


def _parsed(stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """(line, event) each; a line that is no JSON gives an `InvalidEvent` in the event's place."""
    head = stream.read(1024).lstrip()[:1]
    stream.seek(0)
    if head == b"[":
        try:
            events = json.load(stream)
        except (ValueError, RecursionError) as error:
            yield (
                getattr(error, "lineno", 1),
                InvalidEvent(f"it is no JSON array: {error}", remedy="mend the JSON"),
            )
            return
        for index, event in enumerate(events):
            yield index + 1, event
        return
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == 1 and (whole := _whole_object(stream, line)) is not None:
                yield 1, whole
                return
            yield number, InvalidEvent(f"it is no JSON: {error}", remedy="send one JSON object a line")


def _whole_object(stream: IO[bytes], head: bytes) -> Any:
    """One JSON object over several lines, if that is what the stream holds."""
    at = stream.tell()
    try:
        return json.loads(head + stream.read())
    except (ValueError, RecursionError):
        stream.seek(at)
        return None


def _check(stream: IO[bytes]) -> tuple[int, list[str]] | None:
    """How many events can't be sent, and why the first of them can't; None if all can."""
    count = 0
    reasons: list[str] = []
    for line, event in _parsed(stream):
        try:
            if isinstance(event, InvalidEvent):
                raise event
            encode_event(event)
        except InvalidEvent as error:
            count += 1
            if len(reasons) < REASONS_SHOWN:
                reasons.append(f"line {line}: {error.message}")
    return (count, reasons) if count else None


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


@click.command("logs")
@click.argument("name")
@click.option("--follow", is_flag=True, help="Show every attempt from now on.")
@click.option("--json", "is_json", is_flag=True, help="Print NDJSON.")
def logs_command(name: str, follow: bool, is_json: bool) -> None:
    """Show recent failures of a destination."""
    with Client() as client:
        for line in client.logs(name, follow=follow):
            if is_json:
                output.as_json(line)
                continue
            error = line.get("error") or {}
            where = f" line {error['line']}" if error.get("line") else ""
            text = (
                f"{output.clean(error.get('type', ''))}: {output.clean(error.get('message', ''))}"
                if error
                else ""
            )
            click.echo(
                f"{line['at']} {line['delivery']} {line['event_type']} #{line['attempt']} {line['code']}{where} {text}".rstrip()
            )
            output.logs(line["logs"])

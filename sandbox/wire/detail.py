"""What an outcome says of itself: opaque on its way, decoded by whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgpack

from sandbox.wire.decoding import WireError, unpack_opaque
from sandbox.wire.limits import DETAIL_BYTES_MAX


def pack_lines(lines: list[dict[str, str]]) -> bytes:
    """At most `DETAIL_BYTES_MAX`: console lines are dropped from the end."""
    while True:
        packed: bytes = msgpack.packb(lines, unicode_errors="replace")
        if len(packed) <= DETAIL_BYTES_MAX:
            return packed
        lines = lines[: len(lines) // 2]


@dataclass(frozen=True, slots=True)
class Detail:
    """What an outcome says of itself; opaque to the supervisor, decoded by whoever shows it.

    `error` has the keys code, type, message, line, column, traceback (list of {file, line, function, text}).
    `logs` are {level, message}; `requests` is for the HTTP exchanges of `fetch`.
    """

    error: dict[str, Any] | None = None
    logs: list[dict[str, str]] = field(default_factory=list)
    logs_dropped_bytes: int = 0
    result: str | None = None
    """`repr` of what the handler returned, cut."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    duration_us: int = 0

    def pack(self) -> bytes:
        """At most `DETAIL_BYTES_MAX`: console lines are dropped from the end, then texts are cut."""
        error, logs, result = self.error, list(self.logs), self.result
        requests, dropped = list(self.requests), self.logs_dropped_bytes
        while True:
            packed: bytes = msgpack.packb(
                [error, logs, dropped, result, requests, self.duration_us], unicode_errors="replace"
            )
            if len(packed) <= DETAIL_BYTES_MAX:
                return packed
            if logs:
                kept = len(logs) // 2
                dropped += sum(len(line["message"]) for line in logs[kept:])
                del logs[kept:]
            elif requests:
                del requests[len(requests) // 2 :]
            elif result:
                result = None
            else:
                error = {
                    key: value[:1000] if isinstance(value, str) else None
                    for key, value in (error or {}).items()
                }

    @classmethod
    def unpack(cls, packed: bytes) -> Detail:
        """Never raises: what can't be read as a detail becomes one that says so (it came from a worker)."""
        try:
            error, logs, dropped, result, requests, duration_us = unpack_opaque(packed)
            if not (
                isinstance(error, dict | None)
                and isinstance(logs, list)
                and all(isinstance(line, dict) for line in logs)
                and isinstance(dropped, int)
                and isinstance(result, str | None)
                and isinstance(requests, list)
                and isinstance(duration_us, int)
            ):
                raise WireError("a detail's fields have other types")  # noqa: TRY301  one way out for all that is unreadable
        except (WireError, TypeError, ValueError):
            return cls(
                error={
                    "code": "bad_request",
                    "type": "ProtocolError",
                    "message": "the worker's report is unreadable",
                }
            )
        lines = [
            {"level": str(line.get("level", "")), "message": str(line.get("message", ""))} for line in logs
        ]
        return cls(error, lines, dropped, result, requests, duration_us)

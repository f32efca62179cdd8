"""What went out and what came back, kept a while for whoever debugs a failure; blanked when it is shown, not before."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.egress.rules import CREDENTIALS

if TYPE_CHECKING:
    from engine.egress.blanking import Blanker

RING_BYTES_MAX: Final = 256 * 1024
"""A channel keeps so much; the oldest go first."""
RING_KEPT_S: Final = 5.0
"""How long traces outlive their invocation: until then the dispatcher has asked for them."""
SECRET_HEADERS: Final = CREDENTIALS | {"set-cookie", "proxy-authorization"}
_FIXED_BYTES: Final = 512


@dataclass(slots=True)
class Trace:
    """One fetch. Bodies are cut to what may be shown, and a secret's length more."""

    invocation: int
    started_ms: int
    method: str
    url: str
    request_headers: list[tuple[str, str]]
    request_body: bytes
    request_bytes: int
    status: int = 0
    error: str = ""
    """The code of its failure, and what happened."""
    message: str = ""
    redirects: int = 0
    final_url: str = ""
    response_headers: list[tuple[str, str]] = field(default_factory=list)
    response_body: bytes = b""
    response_bytes: int = 0
    waited_ms: float = 0.0
    """For a place among the destination's requests; everything below comes after it."""
    resolve_ms: float = 0.0
    connect_ms: float = 0.0
    first_byte_ms: float = 0.0
    total_ms: float = 0.0

    @property
    def size(self) -> int:
        """About what it weighs, in bytes."""
        return (
            _FIXED_BYTES
            + len(self.url)
            + len(self.final_url)
            + len(self.request_body)
            + len(self.response_body)
            + sum(len(name) + len(value) for name, value in self.request_headers)
            + sum(len(name) + len(value) for name, value in self.response_headers)
        )

    def as_map(self, blanker: Blanker, secret_names: frozenset[str], body_bytes: int) -> dict[str, Any]:
        """For people: secrets blanked, bodies as text of at most `body_bytes`."""

        def shown_headers(pairs: list[tuple[str, str]]) -> list[list[str]]:
            return [
                [name, "[secret]" if name.lower() in secret_names else blanker.blank(value)]
                for name, value in pairs
            ]

        def text(body: bytes) -> str:
            shown = len(body[:body_bytes].decode("utf-8", "replace"))
            return blanker.blank(body.decode("utf-8", "replace"), shown)

        return {
            "method": self.method,
            "url": blanker.blank(self.url),
            "status": self.status or None,
            "error": self.error or None,
            "message": blanker.blank(self.message),
            "redirects": self.redirects,
            "final_url": blanker.blank(self.final_url or self.url),
            "started_ms": self.started_ms,
            "waited_ms": round(self.waited_ms, 3),
            "resolve_ms": round(self.resolve_ms, 3),
            "connect_ms": round(self.connect_ms, 3),
            "first_byte_ms": round(self.first_byte_ms, 3),
            "total_ms": round(self.total_ms, 3),
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "request_headers": shown_headers(self.request_headers),
            "request_body": text(self.request_body),
            "response_headers": shown_headers(self.response_headers),
            "response_body": text(self.response_body),
        }


class Ring:
    """The last traces of a channel, `RING_BYTES_MAX` of them at most."""

    def __init__(self, bytes_max: int = RING_BYTES_MAX) -> None:
        self._traces: deque[tuple[float, int, Trace]] = deque()
        """When each was kept (seconds of `time.monotonic`), and what it weighs."""
        self._bytes = 0
        self._bytes_max = bytes_max

    def add(self, trace: Trace) -> None:
        """Keep it; the oldest make room."""
        size = trace.size
        self._traces.append((time.monotonic(), size, trace))
        self._bytes += size
        while self._bytes > self._bytes_max and len(self._traces) > 1:
            self._drop_oldest()

    def forget(self, before: float) -> None:
        """Drop what was kept before that time."""
        while self._traces and self._traces[0][0] < before:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._bytes -= self._traces.popleft()[1]

    def of(self, invocations: frozenset[int]) -> list[Trace]:
        """Those of some invocations, oldest first."""
        return [trace for _, _, trace in self._traces if trace.invocation in invocations]

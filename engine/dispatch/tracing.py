"""What failed, with the HTTP exchanges that the egress kept of it: asked for, then settled."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.clock import Clock
    from engine.dispatch.settling import Settler
    from engine.egress.supervise import Egress
    from engine.workers.holdings import Run


class Ending(NamedTuple):
    """How one delivery of a run ended."""

    run: Run
    offset: int
    code: str
    after_ms: int
    detail: bytes


class Tracer:
    """Between reports and settling. A frame of failures costs one question, if its worker fetches at all; it is settled when that is answered."""

    def __init__(self, *, egress: Egress, settler: Settler, clock: Clock) -> None:
        self.waiting = 0
        """Questions that aren't answered yet."""
        self.on_answered: Callable[[], None] = lambda: None
        self._egress = egress
        self._settler = settler
        self._clock = clock

    def ended(self, worker_id: int, endings: Sequence[Ending], *, has_fetched: bool = True) -> None:
        """Settle these, with their traces if there are any. Of a worker that never fetched, the egress isn't asked."""
        invocations = list(dict.fromkeys(item.run.invocation(item.offset) for item in endings))
        self.waiting += 1
        if not has_fetched:
            self._settle(endings, {})
            return
        self._egress.pull(worker_id, invocations, partial(self._settle, endings))

    def _settle(self, endings: Sequence[Ending], traces: dict[int, list[Any]]) -> None:
        self.waiting -= 1
        now = self._clock.monotonic()
        for item in endings:
            # Of a batch the first that failed carries what all have in common.
            requests = traces.pop(item.run.invocation(item.offset), None)
            detail = with_requests(item.detail, requests) if requests else item.detail
            self._settler.ended(
                item.run.owner,
                item.run.start + item.offset,
                item.code,
                after_ms=item.after_ms,
                detail=detail,
                now=now,
            )


def with_requests(detail: bytes, requests: list[Any]) -> bytes:
    """A packed detail with these HTTP exchanges."""
    return replace(wire.Detail.unpack(detail), requests=requests).pack()

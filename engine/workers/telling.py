"""What a worker tells those who use it: whoever gave it work, and the pool; and what the pool tells, and asks of others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from engine.workers.holdings import Run
    from engine.workers.worker import Worker
    from sandbox import wire


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended, and what it held. `culprits` are (run, offset in the run) that were being run."""

    reason: str
    """`stopped`, `refused`, `zygote`, `egress`, or the outcome code of the culprit: `timeout`, `memory_limit`, `crashed`."""
    explanation: str
    held: list[Run] = field(default_factory=list)
    culprits: list[tuple[Run, int]] = field(default_factory=list)
    is_attack: bool = False
    """It broke the protocol or the system-call filter ended it."""


class Listener(Protocol):
    """Whoever gave the worker its work. Called from the event loop; must not raise."""

    def loaded(self, worker: Worker, frame: wire.Loaded) -> None:
        """The module is loaded."""

    def refused(self, worker: Worker, frame: wire.Refused) -> None:
        """The module didn't compile or load; `gone` follows."""

    def ended(
        self,
        worker: Worker,
        delivered: list[tuple[Run, int, int]],
        failures: list[tuple[Run, int, wire.Failure]],
    ) -> None:
        """`delivered` are (run, first offset, count); `failures` are (run, offset, row)."""

    def gone(self, worker: Worker, death: Death) -> None:
        """The process has ended."""


class PoolEvents(Protocol):
    """What a worker tells the pool."""

    def became_ready(self, worker: Worker, frame: wire.Ready) -> None:
        """A spare is jailed and waits."""


class PoolListener(Protocol):
    """Whoever hands out work."""

    def capacity_changed(self) -> None:
        """A spare became ready, or a slot free."""

    def tick(self, now: float) -> None:
        """50 ms have passed."""


class HttpPort(Protocol):
    """Whoever performs HTTP for workers."""

    def is_ready_for(self, destination: int | None) -> bool:
        """A worker of this destination can be bound; of None, of any."""

    def bind(self, worker_id: int, fds: tuple[int, int], access: Any) -> None:
        """Take over a worker's pipe ends."""

    def unbound(self, worker_id: int) -> None:
        """The worker is gone."""

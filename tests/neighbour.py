"""A destination under steady load beside whatever a test does: what it may never notice."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from running import new_id

if TYPE_CHECKING:
    from running import Daemon

SOURCE = "def on_track(event, settings):\n    return event['properties']['n'] * 2\n"
EVENTS_A_SUBMIT = 10
PAUSE_S = 0.03
DEADLINE_S = 5.0
"""Its `timeout_ms`."""


@dataclass
class Neighbour:
    """A thread that submits, waits for the outcomes, and writes down how long that took."""

    daemon: Daemon
    name: str = "neighbour"
    latencies_s: list[float] = field(default_factory=list)
    by_code: dict[str, int] = field(default_factory=dict)
    _until: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        with self.daemon.client() as client:
            client.deploy(self.name, SOURCE, limits={"timeout_ms": int(DEADLINE_S * 1000)})
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        with self.daemon.client() as client:
            while not self._until.is_set():
                begun = time.monotonic()
                result = client.submit(self.name, [event(n) for n in range(EVENTS_A_SUBMIT)], wait=True)
                self.latencies_s.append(time.monotonic() - begun)
                for code, count in result.by_code.items():
                    self.by_code[code] = self.by_code.get(code, 0) + count
                self._until.wait(PAUSE_S)

    def __exit__(self, *_: object) -> None:
        self._until.set()
        assert self._thread is not None
        self._thread.join(30)
        assert not self._thread.is_alive(), "the neighbour's events have not ended"

    def has_noticed_nothing(self) -> bool:
        """No event failed, none was late, and there was enough of them for that to mean something."""
        return set(self.by_code) == {"delivered"} and max(self.latencies_s) < DEADLINE_S


def event(n: int) -> dict[str, Any]:
    return {"type": "track", "messageId": new_id(), "userId": "u", "event": "x", "properties": {"n": n}}

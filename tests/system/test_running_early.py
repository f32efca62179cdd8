"""Events of a destination that has nothing else to do run while the disk is at work; who sent them hears when it is done."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from faults import daemon as slow_daemon
from running import Daemon, new_id, wait_until
from upstreams import Server, reply

if TYPE_CHECKING:
    from pathlib import Path

    from engine.session import SubmitResult

SYNC_MS: Final = 2_000
SOURCE: Final = """
def on_track(event, settings):
    fetch(settings.url, "POST", json={})
"""


def test_an_event_runs_while_it_is_written_and_is_told_of_when_that_is_done(tmp_path: Path) -> None:
    daemon, delay = Daemon(tmp_path), tmp_path / slow_daemon.DELAY
    delay.write_text("0")
    daemon.start("--allow", "127.0.0.1:*", program=(str(slow_daemon.__file__), str(tmp_path)))
    answered: list[tuple[float, SubmitResult]] = []
    with Server({"/": reply()}) as server, daemon.client() as client:
        client.deploy("d", SOURCE, settings={"url": server.url("/")})

        def submit() -> None:
            result = client.submit("d", [{"type": "track", "messageId": new_id()}], wait=True)
            answered.append((time.monotonic(), result))

        submit()
        delay.write_text(str(SYNC_MS))
        thread = threading.Thread(target=submit)
        thread.start()
        wait_until(lambda: len(server.requests) == 2)
        delay.write_text("0")
        thread.join(20)
        at, result = answered[1]
        assert result.delivered == 1
        assert at - server.requests[1].at > SYNC_MS / 2000, "it was told before it was stored"
    assert daemon.stop() == 0, daemon.log.read_text()[-2000:]

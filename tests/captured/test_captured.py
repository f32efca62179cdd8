"""A worker whose code has got out of the language layer owns its pipes: what it may do with them, and what that comes to.

All attacks run at once in one real daemon, each in a destination of its own, beside a destination that only works.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from neighbour import Neighbour, event
from running import Daemon, wait_until

from sandbox.wire import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = "def on_track(event, settings):\n    pass\n"
EVENTS = 5
TIMEOUT_MS = 400
VERDICT_S_MAX = 25.0
MEMORY_BYTES_MAX = 64 * MIB

QUARANTINED = """
    length_of_4_gib length_of_nothing outcomes_before_loaded ready_twice code_nobody_asked_for no_handlers handlers_nested
    endless_loaded_logs frame_of_8_mib_and_a_byte refused_of_no_stage libraries_nobody_asked_for
    bytes_at_random nested_arrays nested_headers a_map an_extension bytes_behind_the_frame bad_utf8 no_such_kind
    the_supervisors_own_frame half_a_frame a_byte_at_a_time close_the_pipe
    loaded_twice refused_after_loaded suspended_unasked
    outcomes_of_nothing forged_number number_of_another_worker endless_range replayed twice_in_a_frame a_million_ranges
    columns_that_disagree a_code_it_may_not_say no_such_code a_detail_too_long
    index_never_given index_that_falls
""".split()
CHARGED = {
    "answer_nothing": "load_failed",
    "read_nothing": "timeout",
    "index_that_rises_and_nothing_ends": "timeout",
    "outcome_after_outcome": "bad_request",
    "details_that_are_no_details": "bad_request",
}
"""No violation that can be told from a slow or failing function: the code that its events end with."""
MANY_EVENTS = {"outcome_after_outcome": 1_000}
PATIENT = {"half_a_frame", "a_byte_at_a_time"}
"""With a deadline beyond the one for what a worker owes."""


class Siege:
    """The daemon under attack."""

    def __init__(self, daemon: Daemon, neighbour: Neighbour) -> None:
        self.daemon, self.neighbour = daemon, neighbour
        assert daemon.process is not None
        self.process = psutil.Process(daemon.process.pid)
        self.bytes_before = self.peak_bytes()

    def peak_bytes(self) -> int:
        """The most memory that the supervisor has had resident so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    daemon = Daemon(tmp_path_factory.mktemp("captured"))
    daemon.start(program=[str(Path(__file__).with_name("captured_daemon.py"))])
    with Neighbour(daemon) as neighbour, daemon.client() as client:
        wait_until(lambda: len(neighbour.latencies_s) > 20)
        siege = Siege(daemon, neighbour)
        for attack in (*QUARANTINED, *CHARGED):
            limits = {"timeout_ms": 50 * TIMEOUT_MS if attack in PATIENT else TIMEOUT_MS, "concurrency": 1}
            client.deploy(attack, SOURCE, settings={"attack": attack}, limits=limits)
            client.submit(attack, [event(n) for n in range(MANY_EVENTS.get(attack, EVENTS))])
        yield siege
    assert daemon.stop() == 0


@pytest.mark.parametrize("attack", QUARANTINED)
def test_who_breaks_the_protocol_is_killed_and_its_destination_quarantined(siege: Siege, attack: str) -> None:
    with siege.daemon.client() as client:
        wait_until(lambda: client.show(attack)["state"] == "quarantined", VERDICT_S_MAX)
        wait_until(lambda: not [row for row in client.workers() if row["destination"] == attack])


@pytest.mark.parametrize(("attack", "code"), CHARGED.items())
def test_who_merely_does_nothing_of_use_is_charged_for_its_events(
    siege: Siege, attack: str, code: str
) -> None:
    with siege.daemon.client() as client:
        count = 100 if attack in MANY_EVENTS else 1  # then the circuit breaker opens
        wait_until(lambda: client.show(attack)["by_code"].get(code, 0) >= count, VERDICT_S_MAX)
        assert client.show(attack)["state"] != "quarantined"


def test_what_cannot_be_read_of_a_report_is_shown_as_that(siege: Siege) -> None:
    with siege.daemon.client() as client:
        name = "details_that_are_no_details"
        lines = [line for line in client.logs(name) if line["error"]]
        assert {line["error"]["type"] for line in lines} == {"ProtocolError"}


def test_nobody_else_notices(siege: Siege) -> None:
    done = len(siege.neighbour.latencies_s)
    wait_until(lambda: len(siege.neighbour.latencies_s) > done + 20)
    assert siege.neighbour.by_code.keys() == {"delivered"}
    assert siege.neighbour.has_noticed_nothing(), max(siege.neighbour.latencies_s)


def test_the_supervisors_memory_stays_where_it_was(siege: Siege) -> None:
    assert siege.peak_bytes() - siege.bytes_before < MEMORY_BYTES_MAX

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from engine.client import AsyncClient, Client
from engine.errors import (
    Conflict,
    EngineError,
    FunctionRefused,
    InvalidEvent,
    JournalFull,
    NotFound,
    Unavailable,
    UsageError,
)
from engine.events import encode_events
from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_core import ServedCore


def track(at: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": f"m{at}", "userId": "u", "event": "Bought", **more}


@pytest.fixture
def client(daemon: ServedCore) -> Iterator[Client]:
    with Client(daemon.path) as connected:
        yield connected


def test_without_a_daemon_the_socket_and_the_command_that_starts_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        Client(tmp_path / "none.sock")
    assert str(tmp_path / "none.sock") in refused.value.message
    assert "engine serve" in refused.value.remedy


def test_a_path_too_long_for_a_socket_is_told_as_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="too long"):
        Client(tmp_path / ("x" * 120))


def test_the_environment_names_the_socket(daemon: ServedCore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_SOCKET", str(daemon.path))
    with Client() as client:
        assert client.show("orders") == {"name": "orders", "version": 1}


def test_a_daemon_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute.sock"))
        listener.listen()
        with pytest.raises(Unavailable, match="silent"):
            Client(tmp_path / "mute.sock", connect_timeout_s=0.05)


def test_something_else_that_answers_is_not_taken_for_a_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unavailable, match="protocol"):
            Client(tmp_path / "other.sock")
        thread.join()


def test_events_arrive_with_their_headers(daemon: ServedCore, client: Client) -> None:
    result = client.submit("orders", [track(1), {"type": "page", "anonymousId": "a"}])
    assert (result.accepted, result.delivered, result.by_code) == (2, 0, {})
    (events,) = daemon.core.submitted
    assert events.message_ids == ["m1", ""]
    assert events.user_keys == ["u", "a"]
    assert [wire.EVENT_TYPES[kind] for kind in events.types] == ["track", "page"]


def test_waiting_counts_outcomes_and_keeps_the_first_error_of_each_code(client: Client) -> None:
    result = client.submit("orders", [track(), track(), {"type": "page"}], wait=True)
    assert (result.accepted, result.delivered, result.discarded) == (3, 2, 1)
    assert result.by_code == {"delivered": 2, "bad_request": 1}
    assert result.first_errors["bad_request"]["line"] == 3
    assert result.elapsed_ms > 0


def test_one_invalid_event_keeps_the_whole_submit_from_being_sent(daemon: ServedCore, client: Client) -> None:
    with pytest.raises(InvalidEvent) as refused:
        client.submit("orders", [track(), {"type": "purchase"}])
    assert refused.value.data["index"] == 1
    assert daemon.core.submitted == []


def test_no_events_are_no_submit(daemon: ServedCore, client: Client) -> None:
    assert client.submit("orders", [], wait=True).accepted == 0
    assert [result.accepted for result in client.submit_many("orders", [[], [track()], []])] == [0, 1, 0]
    assert len(daemon.core.submitted) == 1


def test_many_events_travel_in_chunks(daemon: ServedCore, client: Client) -> None:
    assert client.submit("orders", [track(at) for at in range(250)]).accepted == 250
    assert [len(events.sizes) for events in daemon.core.submitted] == [100, 100, 50]


def test_results_come_in_the_order_of_their_batches(client: Client) -> None:
    batches = [[track(at)] * (1 + at % 7) for at in range(1_000)]
    results = list(client.submit_many("orders", batches, wait=True, window=16))
    assert [result.delivered for result in results] == [1 + at % 7 for at in range(1_000)]


def test_no_more_submits_are_under_way_than_the_window(daemon: ServedCore, client: Client) -> None:
    daemon.core.is_holding = True
    results = client.submit_many("orders", ([track()] for _ in range(20)), window=4)
    received: list[int] = []
    thread = threading.Thread(target=lambda: received.extend(result.accepted for result in results))
    thread.start()
    daemon.until(lambda: len(daemon.core.held) == 4)
    daemon.call(daemon.core.release)
    thread.join(10)
    assert received == [1] * 20


def test_a_daemon_that_does_not_read_slows_the_client_and_loses_nothing(
    daemon: ServedCore, client: Client
) -> None:
    daemon.core.congested_after = 1
    big = encode_events([track(text="x" * 30_000)] * 16)
    counts: list[int] = []
    thread = threading.Thread(
        target=lambda: counts.extend(r.accepted for r in client.submit_many("orders", [big] * 64))
    )
    thread.start()
    daemon.until(lambda: daemon.core.congested)
    assert len(daemon.core.submitted) < 64

    def relieve() -> None:
        daemon.core.congested = False
        daemon.core.relief.set()

    daemon.call(relieve)
    thread.join(20)
    assert counts == [16] * 64


def test_a_refused_batch_leaves_the_connection_usable(client: Client) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        client.submit("nowhere", [track(at) for at in range(1_000)])
    assert client.submit("orders", [track()]).accepted == 1
    assert client.show("orders")["version"] == 1


def test_a_full_journal_tells_how_many_events_were_accepted(daemon: ServedCore, client: Client) -> None:
    daemon.core.refusal, daemon.core.refuse_after = JournalFull("the disk is full", remedy="free some"), 2
    with pytest.raises(JournalFull) as refused:
        client.submit("orders", [track()] * 500)
    assert refused.value.data["accepted"] == 200
    assert refused.value.remedy == "free some"


def test_other_calls_may_come_between_the_results_of_a_pipeline(client: Client) -> None:
    for result in client.submit_many("orders", [[track()] for _ in range(50)], wait=True):
        assert result.delivered == 1
        assert client.show("orders")["name"] == "orders"


def test_a_pipeline_that_is_left_does_not_disturb_what_follows(client: Client) -> None:
    for _ in client.submit_many("orders", ([track()] for _ in range(100)), wait=True):
        break
    assert client.submit("orders", [track()], wait=True).delivered == 1


def test_a_batch_larger_than_a_frame_is_refused_before_it_is_sent(daemon: ServedCore, client: Client) -> None:
    with pytest.raises(UsageError, match="2500 are allowed"):
        list(client.submit_many("orders", [[track()] * 2_501]))
    with pytest.raises(UsageError, match="bytes"):
        list(client.submit_many("orders", [[track(text="x" * 32_000)] * 140]))
    assert daemon.core.submitted == []
    assert client.submit("orders", [track()]).accepted == 1


def test_a_refused_function_raises_with_its_diagnostics(client: Client) -> None:
    with pytest.raises(FunctionRefused) as refused:
        client.deploy("orders", "refuse")
    assert refused.value.data["diagnostics"][0]["line"] == 2


def test_deploy_passes_settings_and_limits(daemon: ServedCore, client: Client) -> None:
    deployed = client.deploy("orders", "x", settings={"key": [1, None]}, limits={"timeout_ms": 100})
    assert deployed["version"] == 1
    assert daemon.core.arguments == {
        "name": "orders",
        "source": "x",
        "filename": "function.py",
        "settings": {"key": [1, None]},
        "schema": None,
        "filter": None,
        "sources": None,
        "dry_run": False,
        "about": {},
        "limits": {"timeout_ms": 100},
    }


def test_an_argument_that_can_not_travel_is_named(client: Client) -> None:
    with pytest.raises(UsageError, match="deploy"):
        client.deploy("orders", "x", settings={"when": object()})
    assert client.show("orders")["version"] == 1


def test_testing_gives_a_result_an_event(client: Client) -> None:
    first, second = client.test("x", [track(), track()])
    assert (first.ok, first.result, first.error, first.duration_ms) == (True, "1", None, 0.5)
    assert second.as_map()["requests"] == []


def test_an_invalid_event_of_a_test_is_named(client: Client) -> None:
    with pytest.raises(InvalidEvent, match="event 1"):
        client.test("x", [track(), {"type": "nothing"}])


def test_removing_with_events_waiting_is_a_conflict(client: Client) -> None:
    with pytest.raises(Conflict) as refused:
        client.remove("orders")
    assert refused.value.data == {"stored": 3}
    assert client.remove("orders", discard=True)["discarded"] == 3


def test_a_mistake_of_the_daemon_is_no_traceback(client: Client) -> None:
    with pytest.raises(EngineError, match="its log says why") as failed:
        client.deploy("orders", "break")
    assert "RuntimeError" not in str(failed.value)


def test_a_list_may_be_longer_than_a_frame_of_a_client(daemon: ServedCore, client: Client) -> None:
    daemon.core.log_lines = 6_000
    assert len(client.list()) == 6_000


def test_logs_end_with_what_is_kept(daemon: ServedCore, client: Client) -> None:
    daemon.core.log_lines = 1_000
    assert [line["n"] for line in client.logs("orders")] == list(range(1, 1_001))
    with pytest.raises(NotFound):
        next(iter(client.logs("nowhere")))


def test_following_ends_at_the_daemon_too_when_the_client_stops(daemon: ServedCore, client: Client) -> None:
    for line in client.logs("orders", follow=True):
        if line["n"] == 700:
            break
    daemon.until(lambda: daemon.core.streams_open == 0)
    assert client.show("orders")["version"] == 1


def test_a_daemon_that_hangs_up_is_told_as_such(daemon: ServedCore, client: Client) -> None:
    daemon.hang_up()
    with pytest.raises(Unavailable, match="hung up"):
        client.submit("orders", [track()] * 10_000)


def test_the_async_client_does_the_same(daemon: ServedCore) -> None:
    async def main() -> None:
        async with AsyncClient(daemon.path) as client:
            result = await client.submit(
                "orders", [track(at) for at in range(250)] + [{"type": "page"}], wait=True
            )
            assert (result.accepted, result.delivered, result.discarded) == (251, 250, 1)
            assert (await client.deploy("orders", "x"))["version"] == 1
            assert (await client.test("x", [track()]))[0].ok
            assert (await client.show("orders"))["version"] == 1
            assert len(await client.list()) == 3
            assert await client.workers() == []
            assert [line["n"] async for line in client.logs("orders")] == [1, 2, 3]
            with pytest.raises(Conflict):
                await client.remove("orders")
            with pytest.raises(NotFound):
                await client.submit("nowhere", [track()] * 1_000)
            with pytest.raises(InvalidEvent):
                await client.submit("orders", [track(), {}])

    asyncio.run(main())


def test_tasks_share_an_async_client(daemon: ServedCore) -> None:
    async def main() -> list[int]:
        async with AsyncClient(daemon.path) as client:
            results = await asyncio.gather(
                *(client.submit("orders", [track()] * (at + 1), wait=True) for at in range(100))
            )
            return [result.delivered for result in results]

    assert asyncio.run(main()) == [at + 1 for at in range(100)]


def test_cancelling_an_async_call_cancels_it_at_the_daemon(daemon: ServedCore) -> None:
    async def main() -> None:
        async with AsyncClient(daemon.path) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.stats(), 0.05)
            await asyncio.to_thread(daemon.until, lambda: daemon.core.cancelled == ["stats"])
            assert (await client.show("orders"))["version"] == 1

    asyncio.run(main())


def test_an_async_client_that_lost_its_daemon_fails_every_request(daemon: ServedCore) -> None:
    async def main() -> None:
        async with AsyncClient(daemon.path) as client:
            waiting = asyncio.create_task(client.stats())
            assert (await client.show("orders"))["version"] == 1
            await asyncio.to_thread(daemon.hang_up)
            with pytest.raises(Unavailable, match="hung up"):
                await waiting
            with pytest.raises(Unavailable, match="hung up"):
                await client.show("orders")

    asyncio.run(main())


def test_an_async_client_without_a_daemon_names_the_socket(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncClient(tmp_path / "none.sock"):
            pass

    with pytest.raises(Unavailable, match=r"none\.sock"):
        asyncio.run(main())

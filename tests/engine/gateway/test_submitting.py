"""Requests of one turn of the loop travel together, and each is told of its own events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import InvalidEvent, JournalFull, Unavailable
from engine.events import encode_events
from engine.gateway.tracking import submitting
from engine.gateway.tracking.rates import Rates
from engine.gateway.tracking.submitting import Pressed, Submitter, Waiting, grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sandbox.wire import Events


class Daemon:
    """Takes frames; `refuse` may raise what a daemon answers."""

    def __init__(self, refuse: Callable[[Events], None] = lambda _events: None) -> None:
        self.frames: list[tuple[str, list[str]]] = []
        self._refuse = refuse

    async def submit_whole(self, name: str, events: Events, *, to_source: bool) -> None:
        assert to_source
        self.frames.append((name, events.message_ids))
        await asyncio.sleep(0)
        self._refuse(events)


def events(*ids: str) -> Events:
    return encode_events({"type": "track", "messageId": id_, "userId": "u", "event": "e"} for id_ in ids)


async def together(*submits: Coroutine[Any, Any, None]) -> list[BaseException | None]:
    return await asyncio.gather(*submits, return_exceptions=True)


def test_requests_of_one_turn_are_one_frame_a_source() -> None:
    async def main() -> None:
        daemon = Daemon()
        submitter = Submitter(lambda: daemon)  # type: ignore[arg-type, return-value]
        sent = [("web", "a"), ("web", "b"), ("app", "c"), ("web", "d")]
        answers = await together(*(submitter.submit(source, events(id_)) for source, id_ in sent))
        assert answers == [None] * 4
        assert daemon.frames == [("web", ["a", "b", "d"]), ("app", ["c"])]
        assert submitter.unanswered_bytes == 0

    asyncio.run(main())


def test_a_frame_that_is_refused_for_one_request_is_sent_again_in_parts() -> None:
    def refuse(frame: Events) -> None:
        if "bad" in frame.message_ids:
            raise InvalidEvent("it is bad")

    async def main() -> None:
        daemon = Daemon(refuse)
        submitter = Submitter(lambda: daemon)  # type: ignore[arg-type, return-value]
        answers = await together(*(submitter.submit("web", events(id_)) for id_ in ("a", "bad", "b")))
        assert [type(answer) for answer in answers] == [type(None), InvalidEvent, type(None)]
        assert [ids for _, ids in daemon.frames] == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]

    asyncio.run(main())


@pytest.mark.parametrize("failure", [JournalFull("full"), Unavailable("away")])
def test_what_the_daemon_answers_is_told_to_each(failure: Exception) -> None:
    def refuse(_frame: Events) -> None:
        raise failure

    async def main() -> None:
        submitter = Submitter(lambda: Daemon(refuse))  # type: ignore[arg-type, return-value]
        answers = await together(submitter.submit("web", events("a")), submitter.submit("web", events("b")))
        assert answers == [failure, failure]

    asyncio.run(main())


def test_a_daemon_that_does_not_answer_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submitting, "ANSWER_S_MAX", 0.01)

    class Silent:
        async def submit_whole(self, *_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        submitter = Submitter(Silent)  # type: ignore[arg-type, return-value]
        [answer] = await together(submitter.submit("web", events("a")))
        assert isinstance(answer, Unavailable)

    asyncio.run(main())


def test_while_too_much_waits_for_the_disk_nothing_more_is_taken() -> None:
    async def main() -> None:
        submitter = Submitter(Daemon)  # type: ignore[arg-type, return-value]
        submitter.check()
        submitter.unanswered_bytes = submitting.UNANSWERED_BYTES_MAX + 1
        with pytest.raises(Pressed):
            submitter.check()

    asyncio.run(main())


def test_what_travels_together_fits_into_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    one = events("a")
    monkeypatch.setattr(submitting, "FRAME_BYTES_MAX", 3 * len(one.bodies))
    monkeypatch.setattr(submitting, "SUBMIT_EVENTS_MAX", 4)
    pair = events("a", "b")
    requests = [Waiting(part, None) for part in (one, pair, pair, one, one, one)]  # type: ignore[arg-type]
    assert [len(group) for group in grouped(requests)] == [2, 2, 2]


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def now_ms(self) -> int:
        return 0


def test_a_source_has_a_rate_of_its_own() -> None:
    clock = Clock()
    rates = Rates(2, clock)
    assert [rates.take("web") for _ in range(3)] == [True, True, False]
    assert rates.take("app")
    clock.now = 0.5
    assert [rates.take("web") for _ in range(2)] == [True, False]
    clock.now = 100.0
    assert [rates.take("web") for _ in range(3)] == [True, True, False]
    assert all(Rates(0, clock).take("web") for _ in range(1_000))

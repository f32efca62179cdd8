"""What every journal must do. A second implementation adds itself to `IMPLEMENTATIONS` and passes unchanged."""

from __future__ import annotations

import asyncio
import functools
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import ManualClock
from engine.errors import Unavailable
from engine.journal.contract import EVERYTHING, Claim, Filter, Place, Retrying, SharedClaim
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Part
from sandbox.wire import Events

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from engine.journal.contract import Delivery, Journal
    from engine.model import Lease

WINDOW_MS = 3_600_000
"""For how long the harness's journals know a message id."""
ALL = {"chunks_max": 1000, "bytes_max": 1 << 30}


class SqliteHarness:
    """Opens SQLite journals in a folder; `crash` opens what the disk holds while the first instance still lives."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.clock = clock
        self._folder = folder
        self._opened: list[SqliteJournal] = []
        self._generation = 0

    def open(self) -> SqliteJournal:
        path = self._folder / str(self._generation) / "journal.db"
        path.parent.mkdir(exist_ok=True)
        journal = SqliteJournal.open(
            path,
            clock=self.clock,
            reserve_bytes=0,
            dedupe_window_s=WINDOW_MS // 1000,
            dedupe_bytes_max=1 << 20,
        )
        self._opened.append(journal)
        return journal

    def crash(self) -> SqliteJournal:
        before = self._folder / str(self._generation)
        self._generation += 1
        shutil.copytree(before, self._folder / str(self._generation))
        return self.open()

    async def close(self) -> None:
        for journal in self._opened:
            await journal.close()


IMPLEMENTATIONS = {"sqlite": SqliteHarness}


def contract(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test with a harness of each implementation; whatever it opened is closed."""

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    @functools.wraps(test)
    def run(implementation: str, tmp_path: Path) -> None:
        async def with_harness() -> None:
            harness = IMPLEMENTATIONS[implementation](tmp_path, ManualClock())
            try:
                await test(harness)
            finally:
                await harness.close()

        asyncio.run(with_harness())

    del run.__wrapped__  # pytest would take the inner signature for fixtures
    return run


def make_events(*names: str, body: bytes = b"\x80") -> Events:
    return Events(
        b"\x01" * len(names),
        list(names),
        [f"user of {name}" for name in names],
        {0: b"\x80"},
        [len(body)] * len(names),
        body * len(names),
    )


def make_chunk(
    clock: ManualClock, *names: str, destination: int = 1, body: bytes = b"\x80", **fields: Any
) -> Chunk:
    times = {"accepted_ms": clock.now_ms(), "due_ms": clock.now_ms()} | fields
    return Chunk(destination, make_events(*names, body=body), **times)


def every(lease: Lease, kind: str = "delivered", **fields: Any) -> Part:
    return Part(tuple(range(len(lease.chunk))), kind, **fields)


async def lease_all(journal: Journal, clock: ManualClock, destination: int = 1) -> list[Lease]:
    return await journal.lease(destination, clock.now_ms(), **ALL)


async def all_of(
    journal: Journal, state: str, where: Filter = EVERYTHING, *, destination: int = 1, limit: int = 7
) -> list[Delivery]:
    """All pages, one after the other."""
    found: list[Delivery] = []
    cursor = None
    while True:
        page = await journal.deliveries(destination, state, where, limit=limit, cursor=cursor)
        assert len(page.deliveries) <= limit
        found += page.deliveries
        cursor = page.cursor
        if cursor is None:
            return found


async def replay_all(
    journal: Journal, state: str = "shelved", where: Filter = EVERYTHING, **options: Any
) -> int:
    """All steps, one after the other; how many were replayed."""
    count, cursor = 0, None
    while True:
        step = await journal.replay(1, state, where, cursor=cursor, **options)
        count, cursor = count + step.deliveries, step.cursor
        if cursor is None:
            return count


def named(deliveries: list[Delivery]) -> list[str]:
    return [delivery.event.message_ids[0] for delivery in deliveries]


def names_of(leases: list[Lease]) -> list[list[str]]:
    return [lease.chunk.events.message_ids for lease in leases]


# --- Append and lease


@contract
async def test_what_was_appended_is_leased_to_the_caller(harness: Any) -> None:
    journal = harness.open()
    chunk = make_chunk(harness.clock, "a", "b")
    [lease] = await journal.append([chunk])
    assert lease.chunk == chunk
    assert lease.remaining == 0b11
    assert await lease_all(journal, harness.clock) == []


@contract
async def test_ids_of_chunks_are_never_used_twice(harness: Any) -> None:
    journal = harness.open()
    [first] = await journal.append([make_chunk(harness.clock, "a")])
    await journal.settle([(first, [every(first)])])
    await journal.close()
    [second] = await harness.open().append([make_chunk(harness.clock, "b")])
    assert second.id > first.id


@contract
async def test_after_a_crash_everything_unsettled_is_leased_again_as_it_was(harness: Any) -> None:
    journal = harness.open()
    chunks = [make_chunk(harness.clock, "a", "b"), make_chunk(harness.clock, "c", destination=2)]
    leases = await journal.append(chunks)
    await journal.append([make_chunk(harness.clock, "d")])
    again = harness.crash()
    first, fourth = await lease_all(again, harness.clock)
    assert (first.id, first.chunk, first.remaining) == (leases[0].id, chunks[0], 0b11)
    assert fourth.chunk.events.message_ids == ["d"]
    assert names_of(await lease_all(again, harness.clock, 2)) == [["c"]]


@contract
async def test_the_oldest_are_leased_first_and_each_once(harness: Any) -> None:
    journal = harness.open()
    for name in "abc":
        await journal.append([make_chunk(harness.clock, name)])
        harness.clock.advance_ms(5)
    again = harness.crash()
    now = harness.clock.now_ms()
    assert names_of(await again.lease(1, now, chunks_max=2, bytes_max=1 << 20)) == [["a"], ["b"]]
    assert names_of(await again.lease(1, now, chunks_max=2, bytes_max=1 << 20)) == [["c"]]
    assert await again.lease(1, now, chunks_max=2, bytes_max=1 << 20) == []


@contract
async def test_a_lease_is_bounded_in_bytes_but_never_empty(harness: Any) -> None:
    journal = harness.open()
    await journal.append([make_chunk(harness.clock, name, body=b"x" * 1000) for name in "abc"])
    again = harness.crash()
    now = harness.clock.now_ms()
    assert names_of(await again.lease(1, now, chunks_max=9, bytes_max=1)) == [["a"]]
    assert names_of(await again.lease(1, now, chunks_max=9, bytes_max=5000)) == [["b"], ["c"]]


@contract
async def test_released_chunks_are_leased_again_in_their_order(harness: Any) -> None:
    journal = harness.open()
    leases = await journal.append([make_chunk(harness.clock, name) for name in "abc"])
    assert await lease_all(journal, harness.clock) == []
    journal.release([leases[2], leases[0]])
    journal.release([leases[0]])
    assert names_of(await lease_all(journal, harness.clock)) == [["a"], ["c"]]


@contract
async def test_what_returns_behind_the_last_lease_is_found(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    await journal.append([make_chunk(clock, *names) for names in ("a", "bB", "c", "d")])
    again = harness.crash()
    now = clock.now_ms()
    first, second, third = await again.lease(1, now, chunks_max=3, bytes_max=1 << 20)
    again.release([first])
    assert names_of(await again.lease(1, now, chunks_max=1, bytes_max=1 << 20)) == [["a"]]
    await again.settle([(second, [Part((1,), "retry", "retry", now - 9, 2)])])
    assert names_of(await again.lease(1, now, chunks_max=1, bytes_max=1 << 20)) == [["B"]]
    await again.settle([(third, [every(third, "retry", due_ms=now - 8, attempt=2)])])
    assert names_of(await again.lease(1, now, chunks_max=9, bytes_max=1 << 20)) == [["c"], ["d"]]


@contract
async def test_a_cancelled_append_leaves_its_chunk_to_be_leased(harness: Any) -> None:
    journal = harness.open()
    task = asyncio.ensure_future(journal.append([make_chunk(harness.clock, "a")]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await journal.next_due()
    assert names_of(await lease_all(journal, harness.clock)) == [["a"]]


@contract
async def test_chunks_without_events_or_with_too_many_are_refused(harness: Any) -> None:
    journal = harness.open()
    with pytest.raises(ValueError, match="0 events"):
        await journal.append([make_chunk(harness.clock)])
    with pytest.raises(ValueError, match="101 events"):
        await journal.append([make_chunk(harness.clock, "fine"), make_chunk(harness.clock, *["a"] * 101)])
    assert (await journal.depth(1)).stored == 0


@contract
async def test_many_appends_at_once_share_commits_and_keep_their_order(harness: Any) -> None:
    journal = harness.open()
    names = [f"event {n}" for n in range(300)]
    await asyncio.gather(*(journal.append([make_chunk(harness.clock, name)]) for name in names))
    assert (await journal.stats()).commits < 100
    assert names_of(await lease_all(harness.crash(), harness.clock)) == [[name] for name in names]


# --- Settle


@contract
async def test_settled_deliveries_are_gone_after_a_crash(harness: Any) -> None:
    journal = harness.open()
    leases = await journal.append([make_chunk(harness.clock, "a"), make_chunk(harness.clock, "b")])
    await journal.settle([(leases[0], [every(leases[0])]), (leases[1], [every(leases[1], "counted")])])
    assert [lease.remaining for lease in leases] == [0, 0]
    assert await lease_all(harness.crash(), harness.clock) == []


@contract
async def test_a_chunk_settled_in_part_keeps_the_rest(harness: Any) -> None:
    journal = harness.open()
    [lease] = await journal.append([make_chunk(harness.clock, *"abcdefghijkl")])
    await journal.settle([(lease, [Part((0, 9), "delivered")])])
    await journal.settle([(lease, [Part((11,), "delivered"), Part((3,), "counted")])])
    assert (await journal.depth(1)).stored == 8
    again = harness.crash()
    assert (await again.depth(1)).stored == 8
    [rest] = await lease_all(again, harness.clock)
    assert rest.remaining == lease.remaining == 0b010111110110
    assert rest.delivery_id(4) == f"{lease.id}.4"
    await again.settle([(rest, [Part((1, 2, 4, 5, 6, 7, 8, 10), "delivered")])])
    assert await lease_all(harness.crash(), harness.clock) == []


@contract
async def test_a_chunk_settled_in_part_and_released_is_leased_with_the_rest(harness: Any) -> None:
    journal = harness.open()
    [lease] = await journal.append([make_chunk(harness.clock, "a", "b")])
    await journal.settle([(lease, [Part((0,), "delivered")])])
    journal.release([lease])
    [rest] = await lease_all(journal, harness.clock)
    assert rest.remaining == 0b10


@contract
async def test_a_late_settle_is_refused_and_nothing_of_it_written(harness: Any) -> None:
    journal = harness.open()
    [lease, other] = await journal.append(
        [make_chunk(harness.clock, "a", "b"), make_chunk(harness.clock, "c")]
    )
    await journal.settle([(lease, [Part((0,), "delivered")])])
    for settlements in (
        [(other, [every(other)]), (lease, [Part((0, 1), "dead", "timeout")])],
        [(other, [every(other)]), (lease, [Part((1,), "delivered"), Part((1,), "delivered")])],
        [(other, [every(other)]), (lease, [Part((1,), "delivered")]), (lease, [Part((1,), "delivered")])],
        [(other, [every(other)]), (lease, [Part((1, 1), "delivered")])],
        [(other, [every(other)]), (lease, [Part((2,), "delivered")])],
        [(other, [every(other)]), (lease, [Part((1,), "mislaid")])],
    ):
        with pytest.raises(ValueError, match=r"settled before|index|kind"):
            await journal.settle(settlements)
    assert (lease.remaining, other.remaining) == (0b10, 0b1)
    assert (await journal.depth(1)).stored == 2
    assert (await journal.depth(1)).shelved_dead == 0


@contract
async def test_leases_that_were_released_or_of_another_process_settle_nothing(harness: Any) -> None:
    journal = harness.open()
    [released, old] = await journal.append([make_chunk(harness.clock, name) for name in "ab"])
    journal.release([released])
    with pytest.raises(ValueError, match="not leased"):
        await journal.settle([(released, [Part((0,), "delivered")])])
    again = harness.crash()
    await lease_all(again, harness.clock)
    with pytest.raises(ValueError, match="not leased"):
        await again.settle([(old, [Part((0,), "delivered")])])


@contract
async def test_a_time_that_cannot_be_stored_is_refused_and_harms_nobody(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    [lease] = await journal.append([make_chunk(clock, "a")])
    for due_ms in (2**62, 2**63, 2**80, -(2**63)):
        with pytest.raises(ValueError, match="due time"):
            await journal.settle([(lease, [every(lease, "retry", due_ms=due_ms, attempt=2)])])
        with pytest.raises(ValueError, match="due time"):
            await journal.append([make_chunk(clock, "b", due_ms=due_ms)])
    await journal.settle([(lease, [every(lease, "retry", due_ms=2**62 - 1, attempt=2)])])
    assert await journal.next_due(1) == {1: 2**62 - 1}


# --- Retry


@contract
async def test_what_is_to_be_tried_again_is_counted_with_its_times_of_acceptance(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    assert await journal.retrying(1) is None
    begun = clock.now_ms()
    [first] = await journal.append([make_chunk(clock, "a", "b")])
    clock.advance_ms(1000)
    second, _, _ = await journal.append(
        [make_chunk(clock, "c", "d"), make_chunk(clock, "fresh"), make_chunk(clock, "e", destination=2)]
    )
    assert await journal.retrying(1) is None
    due = clock.now_ms() + 5000
    await journal.settle([(first, [every(first, "retry", due_ms=due, attempt=2)])])
    part = Part((1,), "retry", "retry", due, 2)
    await journal.settle([(second, [Part((0,), "delivered"), part])])
    again = harness.crash()
    assert await again.retrying(1) == Retrying(3, begun, begun + 1000, is_all=True)
    assert await again.retrying(2) is None
    clock.advance_ms(6000)
    leases = await lease_all(again, clock)
    await again.settle([(lease, [every(lease)]) for lease in leases])
    assert await again.retrying(1) is None


@contract
async def test_a_chunk_that_retries_whole_keeps_its_name_and_waits_across_a_crash(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    chunk = make_chunk(clock, "a", "b")
    [lease] = await journal.append([chunk])
    due = clock.now_ms() + 5000
    await journal.settle([(lease, [every(lease, "retry", due_ms=due, attempt=2, alone=True)])])
    again = harness.crash()
    assert await lease_all(again, clock) == []
    assert await again.next_due() == {1: due}
    clock.advance_ms(5000)
    [retried] = await lease_all(again, clock)
    assert (retried.chunk.attempt, retried.chunk.alone, retried.chunk.due_ms) == (2, True, due)
    assert (retried.chunk.accepted_ms, retried.chunk.events) == (chunk.accepted_ms, chunk.events)
    assert retried.delivery_id(1) == f"{lease.id}.1"


@contract
async def test_parts_that_retry_at_different_times_keep_their_deliveries_names(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    [lease] = await journal.append([make_chunk(clock, *"abcd")])
    start = clock.now_ms()
    await journal.settle(
        [
            (
                lease,
                [
                    Part((0,), "delivered"),
                    Part((3, 1), "retry", "retry", start + 10, 2),
                    Part((2,), "retry", "timeout", start + 20, 7),
                ],
            )
        ]
    )
    assert (await journal.depth(1)).stored == 3
    clock.advance_ms(20)
    again = harness.crash()
    pair, single = await lease_all(again, clock)
    assert (pair.chunk.events.message_ids, pair.chunk.attempt) == (["d", "b"], 2)
    assert (pair.chunk.events.user_keys, single.chunk.attempt) == (["user of d", "user of b"], 7)
    assert [pair.delivery_id(0), pair.delivery_id(1)] == [f"{lease.id}.3", f"{lease.id}.1"]
    await again.settle([(pair, [Part((0,), "retry", "retry", start + 30, 3), Part((1,), "delivered")])])
    clock.advance_ms(10)
    [last] = await lease_all(again, clock)
    assert (last.delivery_id(0), last.chunk.attempt) == (f"{lease.id}.3", 3)


@contract
async def test_retries_are_taken_by_due_time_among_fresh_chunks(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    leases = await journal.append([make_chunk(clock, name) for name in "ab"])
    now = clock.now_ms()
    assert await lease_all(journal, clock) == []
    await journal.settle([(leases[1], [every(leases[1], "retry", due_ms=now + 10, attempt=2)])])
    await journal.settle([(leases[0], [every(leases[0], "retry", due_ms=now + 20, attempt=2)])])
    clock.advance_ms(15)
    journal.release(await journal.append([make_chunk(clock, "c")]))
    clock.advance_ms(15)
    assert names_of(await lease_all(journal, clock)) == [["b"], ["c"], ["a"]]


# --- Clocks


@contract
async def test_fresh_chunks_keep_their_order_and_are_due_when_the_clock_goes_back(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    await journal.append([make_chunk(clock, "a")])
    clock.jump_ms(-3_600_000)
    [second] = await journal.append([make_chunk(clock, "b")])
    assert second.chunk.accepted_ms == clock.now_ms()
    again = harness.crash()
    journal.release(await again.append([make_chunk(clock, "c")]))
    assert (await again.next_due())[1] <= clock.now_ms()
    assert names_of(await lease_all(again, clock)) == [["a"], ["b"]]
    assert names_of(await lease_all(harness.crash(), clock)) == [["a"], ["b"], ["c"]]


@contract
async def test_retries_wait_for_their_time_when_the_clock_goes_back(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    leases = await journal.append([make_chunk(clock, name) for name in "ab"])
    clock.jump_ms(-60_000)
    due = clock.now_ms() + 1000
    await journal.settle([(leases[0], [every(leases[0], "retry", due_ms=due, attempt=1)])])
    assert await lease_all(journal, clock) == []
    assert await journal.next_due(1) == {1: due}
    journal.release(leases[1:])
    assert (await journal.next_due(1))[1] <= clock.now_ms()
    clock.advance_ms(1000)
    assert names_of(await lease_all(journal, clock)) == [["a"], ["b"]]


@contract
async def test_next_due_passes_over_what_is_leased(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    leases = await journal.append([make_chunk(clock, "a"), make_chunk(clock, "b", destination=2)])
    assert await journal.next_due() == {}
    journal.release(leases)
    assert await journal.next_due() == {1: clock.now_ms(), 2: clock.now_ms()}
    assert await journal.next_due(2) == {2: clock.now_ms()}
    assert await journal.next_due(3) == {}


# --- Shelf, discard, counts


@contract
async def test_dead_and_discarded_parts_move_to_the_shelf(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    [lease] = await journal.append([make_chunk(clock, *"abc", body=b"\x81\xa1x\x01", attempt=4)])
    accepted = clock.now_ms()
    clock.advance_ms(7)
    await journal.settle(
        [
            (
                lease,
                [
                    Part((2,), "discarded", "bad_request", details=(b"why",)),
                    Part((0, 1), "dead", "timeout", details=(b"late", b"later")),
                ],
            )
        ]
    )
    again = harness.crash()
    assert await lease_all(again, clock) == []
    depth = await again.depth(1)
    assert (depth.stored, depth.shelved_discarded, depth.shelved_dead) == (0, 1, 2)
    first, second, discarded = await all_of(again, "shelved")
    assert [(d.state, d.code, d.detail) for d in (first, second, discarded)] == [
        ("dead", "timeout", b"late"),
        ("dead", "timeout", b"later"),
        ("discarded", "bad_request", b"why"),
    ]
    assert second.event == make_events("b", body=b"\x81\xa1x\x01")._replace(integrations={})
    assert [d.id for d in (first, second, discarded)] == [(lease.id, 0), (lease.id, 1), (lease.id, 2)]
    assert (second.accepted_ms, second.at_ms, second.attempt) == (accepted, clock.now_ms(), 4)
    assert await all_of(again, "discarded") == [discarded]
    assert await all_of(again, "shelved", destination=2) == []


@contract
async def test_details_are_kept_in_bounds(harness: Any) -> None:
    journal = harness.open()
    [lease] = await journal.append([make_chunk(harness.clock, *"abcd")])
    large = [bytes([n]) * 50_000 for n in range(4)]
    await journal.settle([(lease, [every(lease, "dead", code="timeout", details=tuple(large))])])
    kept = [delivery.detail for delivery in await all_of(journal, "dead")]
    assert kept == [large[0], large[1], b"", b""]
    [lease] = await journal.append([make_chunk(harness.clock, *"abcd")])
    with pytest.raises(ValueError, match="1 details"):
        await journal.settle([(lease, [every(lease, "dead", code="timeout", details=(b"of one",))])])


# --- Duplicates


def claims_of(*chunks: Chunk, scope: int = 1) -> list[Claim]:
    return [Claim(at, 0, len(chunk), scope) for at, chunk in enumerate(chunks)]


async def append_new(journal: Journal, *chunks: Chunk, scope: int = 1) -> list[Lease]:
    return await journal.append(chunks, claims=claims_of(*chunks, scope=scope))


@contract
async def test_a_duplicate_is_not_stored_and_its_bit_is_clear(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    await append_new(journal, make_chunk(clock, "a", "b"))
    [lease] = await append_new(journal, make_chunk(clock, "x", "b", "y", "x", "a"))
    assert lease.remaining == 0b00101
    stats = await journal.stats()
    assert (stats.appended, stats.duplicates) == (4, 3)
    assert (await journal.depth(1)).stored == 4
    assert named(await all_of(journal, "running")) == ["a", "b", "x", "y"]
    again = harness.crash()
    assert (await again.depth(1)).stored == 4
    first, second = await lease_all(again, clock)
    assert (first.remaining, second.remaining) == (0b11, 0b00101)
    with pytest.raises(ValueError, match="settled before"):
        await again.settle([(second, [Part((1,), "delivered")])])
    await again.settle([(first, [every(first)]), (second, [Part((0, 2), "delivered")])])
    assert (await again.depth(1)).stored == 0
    assert await lease_all(harness.crash(), clock) == []


@contract
async def test_who_waits_for_new_events_hears_of_them_before_they_are_durable(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    heard: list[str] = []
    for name in ("a", "a", "b"):
        chunk = make_chunk(clock, name)
        writing = functools.partial(heard.append, f"{name} is written")
        [lease] = await journal.append([chunk], claims=claims_of(chunk), writing=writing)
        heard.append(f"{name} is durable" if lease.remaining else f"{name} is a duplicate")
    assert heard == ["a is written", "a is durable", "a is a duplicate", "b is written", "b is durable"]


@contract
async def test_a_chunk_of_duplicates_alone_is_over_at_once(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    await append_new(journal, make_chunk(clock, "a", "b"))
    leases = await append_new(journal, make_chunk(clock, "b", "a"), make_chunk(clock, "c"))
    assert [lease.remaining for lease in leases] == [0, 1]
    with pytest.raises(ValueError, match="not leased"):
        await journal.settle([(leases[0], [Part((0,), "delivered")])])
    journal.release(leases)
    assert names_of(await lease_all(harness.crash(), clock)) == [["a", "b"], ["c"]]


@contract
async def test_only_what_is_claimed_is_judged_each_in_its_scope(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    await journal.append([make_chunk(clock, "a", "b")], claims=[Claim(0, 1, 2, 1)])
    for scope, names, remaining in ((2, "b", 0b1), (1, "a", 0b1), (1, "b", 0), (1, "a", 0)):
        [lease] = await append_new(journal, make_chunk(clock, *names), scope=scope)
        assert lease.remaining == remaining
    [lease] = await journal.append([make_chunk(clock, "a", "b")])
    assert lease.remaining == 0b11
    for claim in (Claim(1, 0, 1, 1), Claim(0, 0, 2, 1), Claim(0, -1, 1, 1), Claim(-1, 0, 1, 1)):
        with pytest.raises(ValueError, match="names events"):
            await journal.append([make_chunk(clock, "z")], claims=[claim])


@contract
async def test_copies_of_an_event_in_several_chunks_are_judged_as_one(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    ids = ["a", "b", "c", "d"]

    async def fan_out(*ids: str) -> list[int]:
        whole = make_chunk(clock, "x", *ids)
        some = make_chunk(clock, *ids[1::2], destination=2)
        places = (Place(0, 1, range(len(ids))), Place(1, 0, range(1, len(ids), 2)))
        leases = await journal.append([whole, some], claims=[SharedClaim(-1, ids, places)])
        return [lease.remaining for lease in leases]

    assert await fan_out(*ids) == [0b11111, 0b11]
    assert await fan_out("e", "b", "f", "g") == [0b11011, 0b10]
    assert await fan_out("h", "b", "i", "d") == [0b01011, 0]
    assert await fan_out("j", "k", "j", "k") == [0b00111, 0b01]
    assert ((await journal.depth(1)).stored, (await journal.depth(2)).stored) == (15, 4)
    again = harness.crash()
    assert ((await again.depth(1)).stored, (await again.depth(2)).stored) == (15, 4)
    for places in ((Place(0, 0, range(2)),), (Place(1, 0, range(1)),), (Place(0, 0, [7]),)):
        with pytest.raises(ValueError, match="names events"):
            await again.append([make_chunk(clock, "z")], claims=[SharedClaim(-1, ["z"], places)])


@contract
async def test_events_without_a_message_id_are_no_duplicates(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    for _ in range(2):
        [lease] = await append_new(journal, make_chunk(clock, "", "", ""))
        assert lease.remaining == 0b111


@contract
async def test_an_id_is_known_after_a_crash_and_until_the_window_ends(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    [lease] = await append_new(journal, make_chunk(clock, "a"))
    await journal.settle([(lease, [every(lease)])])
    clock.advance_ms(WINDOW_MS - 1000)
    again = harness.crash()
    [lease] = await append_new(again, make_chunk(clock, "a"))
    assert lease.remaining == 0
    clock.advance_ms(1000)
    [lease] = await append_new(again, make_chunk(clock, "a"))
    assert lease.remaining == 1
    clock.advance_ms(WINDOW_MS - 1000)
    [lease] = await append_new(harness.crash(), make_chunk(clock, "a"))
    assert lease.remaining == 0


@contract
async def test_a_replay_looks_for_no_duplicates(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    [lease] = await append_new(journal, make_chunk(clock, "a"))
    await journal.settle([(lease, [every(lease, "dead", code="timeout")])])
    assert await replay_all(journal) == 1
    [lease] = await lease_all(journal, clock)
    assert lease.remaining == 1


@contract
async def test_many_appends_at_once_judge_each_id_once(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    twice = [make_chunk(clock, f"event {n % 100}", f"other {n}") for n in range(200)]
    leases = await asyncio.gather(*(append_new(journal, chunk) for chunk in twice))
    taken = sum(lease.remaining & 1 for [lease] in leases)
    assert (taken, {lease.remaining >> 1 for [lease] in leases}) == (100, {1})


# --- Looking and replaying


async def shelve(harness: Any, *groups: tuple[str, str, str]) -> tuple[Journal, list[int]]:
    """A chunk a group of (names, kind, code), a second apart; the chunks' ids."""
    journal, ids = harness.open(), []
    for names, kind, code in groups:
        [lease] = await journal.append([make_chunk(harness.clock, *names)])
        details = tuple(f"why {name}".encode() for name in names)
        await journal.settle([(lease, [every(lease, kind, code=code, details=details)])])
        ids.append(lease.id)
        harness.clock.advance_ms(1000)
    return journal, ids


GROUPS = (("abc", "dead", "timeout"), ("de", "discarded", "bad_request"), ("fgh", "dead", "crashed"))


@contract
async def test_the_shelf_is_filtered_and_paged_the_newest_first(harness: Any) -> None:
    start = harness.clock.now_ms()
    journal, ids = await shelve(harness, *GROUPS)
    for limit in (1, 2, 3, 100):
        assert named(await all_of(journal, "shelved", limit=limit)) == list("fghdeabc")
        assert named(await all_of(journal, "dead", limit=limit)) == list("fghabc")
    for where, names in (
        (Filter(code="bad_request"), "de"),
        (Filter(code="memory_limit"), ""),
        (Filter(since_ms=start + 1000), "fghde"),
        (Filter(until_ms=start + 1000), "abc"),
        (Filter(since_ms=start + 1, until_ms=start + 2000), "de"),
        (Filter(delivery=(ids[0], 1)), "b"),
        (Filter(delivery=(ids[0], 1), code="crashed"), ""),
        (Filter(delivery=(ids[0], 7)), ""),
    ):
        assert named(await all_of(journal, "shelved", where)) == list(names)
    with pytest.raises(ValueError, match="state"):
        await journal.deliveries(1, "lost")


@contract
async def test_waiting_and_running_deliveries_are_seen(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    first, second, _ = await journal.append(
        [make_chunk(clock, "a", "b", "c"), make_chunk(clock, "d"), make_chunk(clock, "x", destination=2)]
    )
    start = clock.now_ms()
    await journal.settle([(second, [every(second, "retry", code="timeout", due_ms=start + 500, attempt=2)])])
    clock.advance_ms(10)
    await journal.settle([(first, [Part((0,), "delivered"), Part((2,), "retry", "retry", start + 100, 5)])])
    [running] = await all_of(journal, "running")
    assert (running.event.message_ids, running.code, running.attempt) == (["b"], "", 1)
    waiting = await all_of(journal, "waiting", limit=1)
    assert [(d.id, d.code, d.attempt, d.at_ms) for d in waiting] == [
        ((first.id, 2), "retry", 5, start + 100),
        ((second.id, 0), "timeout", 2, start + 500),
    ]
    assert {(d.state, d.accepted_ms) for d in waiting} == {("waiting", start)}
    assert named(await all_of(journal, "waiting", Filter(code="timeout"))) == ["d"]
    assert named(await all_of(journal, "waiting", Filter(since_ms=start + 1))) == []
    assert named(await all_of(journal, "waiting", Filter(delivery=(first.id, 2)))) == ["c"]
    assert named(await all_of(journal, "running", Filter(delivery=(first.id, 2)))) == []
    again = harness.crash()
    assert named(await all_of(again, "waiting")) == ["b", "c", "d"]
    assert named(await all_of(again, "running")) == []
    clock.advance_ms(1000)
    assert [lease.chunk.code for lease in await lease_all(again, clock)] == ["", "retry", "timeout"]


@contract
async def test_a_delivery_is_found_by_its_name_wherever_it_is(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    [lease] = await journal.append([make_chunk(clock, *"abcd")])
    now = clock.now_ms()
    parts = [Part((0,), "delivered"), Part((1, 2), "retry", "retry", now, 2)]
    await journal.settle([(lease, parts)])
    [pair] = await lease_all(journal, clock)
    await journal.settle([(pair, [Part((1,), "dead", "retry", details=(b"why",))])])
    for each in (journal, harness.crash()):
        found = [await each.find(1, (lease.id, place)) for place in range(5)]
        assert [delivery and delivery.event.message_ids[0] for delivery in found] == [
            None,
            "b",
            "c",
            "d",
            None,
        ]
        assert [delivery and delivery.id for delivery in found[1:4]] == [(lease.id, n) for n in (1, 2, 3)]
        assert (found[2].state, found[2].attempt, found[2].detail) == ("dead", 2, b"why")
        assert await each.find(1, (pair.id, 0)) is None
        assert await each.find(2, (lease.id, 1)) is None
        assert await each.find(1, (-1, 2**62)) is None


@contract
async def test_a_replay_moves_what_matches_back_into_the_queue_once(harness: Any) -> None:
    journal, ids = await shelve(harness, *GROUPS)
    clock = harness.clock
    assert await replay_all(journal, "dead", Filter(code="timeout"), dry_run=True) == 3
    assert named(await all_of(journal, "shelved")) == list("fghdeabc")
    assert await replay_all(journal, "dead", Filter(code="timeout")) == 3
    assert await replay_all(journal, "dead", Filter(code="timeout")) == 0
    assert named(await all_of(journal, "shelved")) == list("fghde")
    depth = await journal.depth(1)
    assert (depth.stored, depth.shelved_dead, depth.shelved_discarded) == (3, 3, 2)
    assert (await journal.next_due(1))[1] <= clock.now_ms()
    replayed_ms = clock.now_ms()
    clock.advance_ms(50)
    again = harness.crash()
    [lease] = await lease_all(again, clock)
    assert [lease.delivery_id(index) for index in range(3)] == [f"{ids[0]}.{index}" for index in range(3)]
    chunk = lease.chunk
    assert (chunk.events, chunk.attempt, chunk.accepted_ms, chunk.code) == (
        make_events(*"abc"),
        1,
        replayed_ms,
        "",
    )
    assert lease.id > max(ids)
    assert await again.find(1, (ids[0], 2)) is not None
    depth = await again.depth(1)
    assert (depth.stored, depth.shelved_dead, depth.shelved_discarded) == (3, 3, 2)


@contract
async def test_a_replay_takes_the_oldest_first_and_goes_on_from_its_cursor(harness: Any) -> None:
    journal, _ = await shelve(harness, *GROUPS)
    dry = await journal.replay(1, limit=4, dry_run=True)
    assert dry.deliveries == 4
    assert dry.cursor is not None
    assert (await journal.replay(1, limit=9, dry_run=True, cursor=dry.cursor)).deliveries == 4
    step = await journal.replay(1, limit=4)
    assert step.deliveries == 4
    assert named(await all_of(journal, "shelved")) == list("fghe")
    assert [d.detail for d in await all_of(journal, "discarded")] == [b"why e"]
    assert (await journal.replay(1, limit=9, cursor=step.cursor)).deliveries == 4
    harness.clock.advance_ms(1)
    assert names_of(await lease_all(harness.crash(), harness.clock)) == [
        ["a", "b", "c"],
        ["d"],
        ["e"],
        ["f", "g", "h"],
    ]


@contract
async def test_a_replay_can_cut_one_delivery_out_of_its_entry(harness: Any) -> None:
    journal, ids = await shelve(harness, ("abcd", "dead", "crashed"))
    assert await replay_all(journal, where=Filter(delivery=(ids[0], 2))) == 1
    again = harness.crash()
    assert [(d.event.message_ids, d.detail) for d in await all_of(again, "dead")] == [
        ([name], f"why {name}".encode()) for name in "abd"
    ]
    [lease] = await lease_all(again, harness.clock)
    assert (lease.delivery_id(0), lease.chunk.events.message_ids) == (f"{ids[0]}.2", ["c"])
    depth = await again.depth(1)
    assert (depth.stored, depth.shelved_dead) == (1, 3)
    assert await replay_all(again, where=Filter(delivery=(ids[0], 2))) == 0
    await again.settle([(lease, [every(lease, "dead", code="crashed")])])
    assert sorted(d.id for d in await all_of(again, "dead")) == [(ids[0], n) for n in range(4)]


@contract
async def test_what_ran_alone_is_replayed_alone(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    leases = await journal.append([make_chunk(clock, "a", attempt=3, alone=True), make_chunk(clock, "b")])
    await journal.settle([(lease, [every(lease, "dead", code="crashed")]) for lease in leases])
    assert await replay_all(journal) == 2
    assert [(lease.chunk.alone, lease.chunk.attempt) for lease in await lease_all(journal, clock)] == [
        (True, 1),
        (False, 1),
    ]


@contract
async def test_a_long_shelf_is_looked_through_in_steps(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    leases = await journal.append([make_chunk(clock, "rare")])
    await journal.settle([(leases[0], [every(leases[0], "dead", code="timeout")])])
    for _ in range(50):
        leases = await journal.append([make_chunk(clock, "common") for _ in range(60)])
        await journal.settle([(lease, [every(lease, "dead", code="retry")]) for lease in leases])
    first = await journal.deliveries(1, "dead", Filter(code="timeout"))
    assert first.cursor is not None
    assert named(await all_of(journal, "dead", Filter(code="timeout"))) == ["rare"]
    assert await replay_all(journal, where=Filter(code="retry"), dry_run=True) == 3000
    assert await replay_all(journal, where=Filter(code="retry")) == 3000
    assert (await journal.deliveries(1, "waiting", Filter(code="timeout"))).cursor is not None
    assert await all_of(journal, "waiting", Filter(code="timeout")) == []
    assert await replay_all(journal) == 1


@contract
async def test_overflow_goes_straight_to_the_shelf_and_its_name_is_never_used_again(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    leases = await journal.append(
        [make_chunk(clock, "a")], overflowed=[make_chunk(clock, "b", "c", destination=2)]
    )
    assert names_of(leases) == [["a"]]
    only = await harness.crash().append([], overflowed=[make_chunk(clock, "d", destination=2)])
    assert only == []
    again = harness.crash()
    found = await all_of(again, "dead", destination=2)
    assert named(found) == ["d", "b", "c"]
    assert {(d.code, d.attempt, d.detail) for d in found} == {("overflow", 0, b"")}
    assert len({d.id for d in found} | {(leases[0].id, 0)}) == 4
    [lease] = await again.append([make_chunk(clock, "e")])
    assert lease.id > max(d.id[0] for d in found)
    depth = await again.depth(2)
    assert (depth.stored, depth.shelved_dead) == (0, 3)
    assert (await again.replay(2)).deliveries == 3
    assert [lease.chunk.attempt for lease in await lease_all(again, clock, 2)] == [1, 1]


@contract
async def test_discarding_a_destination_deletes_everything_of_it_and_nothing_else(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    leases = await journal.append([make_chunk(clock, "x", f"y{n}") for n in range(500)])
    kept = await journal.append([make_chunk(clock, "kept", destination=2)])
    await journal.settle([(leases[0], [Part((0,), "dead", "timeout"), Part((1,), "delivered")])])
    await journal.settle([(leases[1], [Part((0,), "delivered")])])
    journal.release(leases[2:250])
    assert await journal.discard(1) == 997
    assert await all_of(journal, "shelved") == []
    assert (await journal.depth(1)).stored == 0
    await journal.settle([(leases[300], [Part((0,), "delivered")]), (kept[0], [every(kept[0])])])
    again = harness.crash()
    assert await lease_all(again, clock) == []
    assert (await again.stats()).destinations == ()


@contract
async def test_counts_survive_a_crash(harness: Any) -> None:
    journal, clock = harness.open(), harness.clock
    leases = await journal.append([make_chunk(clock, *"abc"), make_chunk(clock, "d", destination=2)])
    await journal.settle([(leases[0], [Part((0,), "dead", "timeout"), Part((1,), "retry", "retry", 1, 2)])])
    before = await journal.stats()
    assert (before.appended, before.settled, before.writable) == (4, 2, True)
    again = await harness.crash().stats()
    assert sorted(again.destinations, key=lambda d: d.destination_id) == sorted(
        before.destinations, key=lambda d: d.destination_id
    )
    assert again.destinations[0].stored == 2


@contract
async def test_a_closed_journal_says_so(harness: Any) -> None:
    journal = harness.open()
    await journal.close()
    await journal.close()
    with pytest.raises(Unavailable, match="closed"):
        await journal.append([make_chunk(harness.clock, "a")])

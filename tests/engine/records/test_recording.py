"""Records over the real file: what is counted and kept, what outlives a restart, what is dropped, what is set aside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from engine.clock import ManualClock
from engine.errors import Unavailable
from engine.records import records as module
from engine.records import spans, writer
from engine.records.attempts import OVERHEAD_BYTES, Attempt
from engine.records.followers import FOLLOWERS_MAX, WAITING_BYTES_MAX
from engine.records.records import Records
from engine.records.retention import Bounds
from engine.records.store import AttemptFilter, Store
from sandbox.wire import Detail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DAY_MS = spans.DAY * 1000


@contextlib.asynccontextmanager
async def opened(path: Path, clock: ManualClock, bounds: Bounds | None = None) -> AsyncIterator[Records]:
    records = Records(path, bounds=bounds or Bounds(), clock=clock, loop=asyncio.get_running_loop())
    records.of(1)
    await records.start()
    try:
        yield records
    finally:
        await records.close()


def failure(clock: ManualClock, number: int = 0, *, code: str = "bad_request", size: int = 0) -> Attempt:
    error = {"code": code, "type": "ValueError", "message": "no" + "x" * size, "line": 3}
    detail = Detail(error=error, logs=[{"level": "info", "message": "seen"}], requests=[{"url": "http://x"}])
    return Attempt(clock.now_ms(), 1, f"9.{number}", 1, 2, code, detail.pack())


async def history(records: Records, **wanted: Any) -> list[dict[str, Any]]:
    lines = records.lines(AttemptFilter(1, **wanted), follow=False)
    return [line async for line in lines]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  the writer's thread announces nothing
            await asyncio.sleep(0.005)


def test_a_reader_that_leaves_just_when_it_is_answered_leaves(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "records.db", ManualClock()) as records:
            records._hand_over = lambda: None  # type: ignore[method-assign]  # the test answers
            reading = asyncio.ensure_future(records.today(1))
            await asyncio.sleep(0)
            (read,) = records._reads
            records._reads.clear()
            read.future.set_result({})
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    asyncio.run(run())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


def test_counters_are_read_as_soon_as_they_are_counted(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            record = records.of(1)
            record.count("delivered", 98, 20)
            record.count("delivered", 2, 5_000)
            record.count("timeout", 3, 7_000)
            record.count_verdict("retry", 3)
            record.count_verdict("discarded", 4)
            windows = (await records.windows([1], ["1m", "1h"]))[1]
            hour = windows["1h"]
            assert (hour.delivered, hour.failed, hour.counts[spans.RETRIED]) == (100, 3, 3)
            assert sum(hour.latency.values()) == 100
            assert await records.today(1) == {"delivered": 100, "timeout": 3, "retried": 3}
            assert record.by_code == {"delivered": 100, "timeout": 3}

    asyncio.run(body())


def test_counters_and_attempts_go_on_after_a_restart(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            records.of(1).count("delivered", 5)
            records.of(1).add(failure(clock, 1))
        async with opened(path, clock) as records:
            records.of(1).count("delivered", 2)
            assert records.of(1).totals == {"delivered": 7}
            assert (await records.windows([1], ["1h"]))[1]["1h"].delivered == 7
            [line] = await history(records)
            assert (line["delivery"], line["error"]["line"], line["attempt"]) == ("9.1", 3, 2)
            assert line["logs"] == [{"level": "info", "message": "seen"}]
            assert line["requests"] == [{"url": "http://x"}]

    asyncio.run(body())


def test_what_was_counted_before_the_file_could_be_opened_is_added_to_what_it_held(
    path: Path, clock: ManualClock
) -> None:
    async def body(step: Callable[[], object]) -> None:
        records = Records(path, bounds=Bounds(), clock=clock, loop=asyncio.get_running_loop())
        records.of(1).count("delivered", 1)
        await records.start()
        assert records.of(1).totals == {"delivered": 1}
        with pytest.raises(Unavailable, match="can't be used"):
            await records.today(1)
        step()
        assert (await records.windows([1], ["1h"]))[1]["1h"].delivered == 6
        assert records.of(1).totals == {"delivered": 6}
        await records.close()

    async def fill() -> None:
        async with opened(path, clock) as records:
            records.of(1).count("delivered", 5)

    asyncio.run(fill())
    away = path.rename(path.with_suffix(".away"))
    path.mkdir()
    asyncio.run(body(lambda: (path.rmdir(), away.rename(path))))


def test_a_start_that_takes_long_loses_nothing_of_what_the_file_held(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_EVERY_S", 0.001)

    async def body() -> None:
        async with opened(path, clock) as records:
            records.of(1).count("delivered", 5)
        records = Records(path, bounds=Bounds(), clock=clock, loop=asyncio.get_running_loop())
        await asyncio.sleep(0.02)  # workers start meanwhile
        records.of(1)
        await records.start()
        assert records.of(1).totals == {"delivered": 5}
        await records.close()

    asyncio.run(body())


def test_a_minute_is_the_one_in_which_it_was_counted(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            for minute in range(5):
                records.of(1).count("delivered", 1 << minute)
                await records.today(1)
                clock.advance_ms(60_000)
            windows = (await records.windows([1], ["1m", "5m", "1h"]))[1]
            assert windows["5m"].delivered == 0b11111
            assert windows["1m"].delivered == 0b10000
            clock.advance_ms(2 * spans.HOUR * 1000)
            windows = (await records.windows([1], ["1h", "1d"]))[1]
            assert (windows["1h"].delivered, windows["1d"].delivered) == (0, 0b11111)

    asyncio.run(body())


def test_attempts_are_chosen_by_time_code_and_number(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            for number in range(200):
                records.of(1).add(failure(clock, number, code="timeout" if number % 2 else "retry"))
                clock.advance_ms(1_000)
            since_ms = clock.now_ms() - 10_000
            assert [line["delivery"] for line in await history(records, limit=3)] == [
                "9.197",
                "9.198",
                "9.199",
            ]
            chosen = await history(records, since_ms=since_ms, code="timeout")
            assert [line["delivery"] for line in chosen] == ["9.191", "9.193", "9.195", "9.197", "9.199"]
            assert len(await history(records, limit=150)) == 150
            assert [line["code"] for line in await records.attempts_of(1, "9.7")] == ["timeout"]
            assert await records.attempts_of(2, "9.7") == []

    asyncio.run(body())


def test_successes_are_shown_to_who_follows_and_not_kept(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            record = records.of(1)
            record.add(failure(clock, 1))
            lines = records.lines(AttemptFilter(1), follow=True)
            assert (await anext(lines))["delivery"] == "9.1"
            assert record.is_followed
            record.add(failure(clock, 2)._replace(code="delivered"))
            record.add(failure(clock, 3))
            assert [(await anext(lines))["delivery"] for _ in range(2)] == ["9.2", "9.3"]
            await lines.aclose()
            assert not record.is_followed
            assert [line["delivery"] for line in await history(records)] == ["9.1", "9.3"]

    asyncio.run(body())


def test_a_follower_sees_each_attempt_once_whenever_it_came(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            record, seen = records.of(1), []

            async def fail() -> None:
                for number in range(500):
                    record.add(failure(clock, number))
                    await asyncio.sleep(0)

            failing = asyncio.ensure_future(fail())
            await until(lambda: bool(records._attempts))
            async with contextlib.aclosing(
                records.lines(AttemptFilter(1, limit=10_000), follow=True)
            ) as lines:
                async for line in lines:
                    seen.append(line["delivery"])
                    if len(seen) == 500:
                        break
            await failing
            assert seen == [f"9.{number}" for number in range(500)]

    asyncio.run(body())


def test_a_follower_that_does_not_read_misses_attempts_and_is_told_how_many(
    path: Path, clock: ManualClock
) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            lines = records.lines(AttemptFilter(1, limit=0), follow=True)
            first = asyncio.ensure_future(anext(lines))
            await until(lambda: records.of(1).is_followed)
            attempt = failure(clock, size=60_000)
            for _ in range(200):
                records.of(1).add(attempt)
            fits = WAITING_BYTES_MAX // attempt.bytes
            got = [await first]
            got += [await anext(lines) for _ in range(fits - 1)]
            assert sum(line.get("missed", 0) for line in got) == 200 - fits
            await lines.aclose()

    asyncio.run(body())


def test_following_ends_with_the_destination_and_followers_are_bounded(
    path: Path, clock: ManualClock
) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            waiting = []
            for _ in range(FOLLOWERS_MAX):
                lines = records.lines(AttemptFilter(1, limit=0), follow=True)
                waiting.append(asyncio.ensure_future(anext(lines, None)))
            await until(lambda: len(records._followers.get(1, [])) == FOLLOWERS_MAX)
            with pytest.raises(Unavailable, match="follow"):
                await anext(records.lines(AttemptFilter(1, limit=0), follow=True))
            records.forget(1)
            assert await asyncio.gather(*waiting) == [None] * FOLLOWERS_MAX

    asyncio.run(body())


def test_a_storm_is_dropped_with_a_count_and_its_counters_are_not(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            storm, quiet = records.of(1), records.of(2)
            attempt = failure(clock, size=1_000)
            for _ in range(100_000):  # in one turn of the loop: the writer can't keep up
                storm.count("bad_request", 1)
                storm.add(attempt)
            quiet.add(failure(clock)._replace(destination_id=2))
            assert records._attempts_bytes <= module.PENDING_BYTES_MAX
            dropped = storm.totals[spans.ATTEMPTS_DROPPED]
            assert dropped > 0
            assert (await records.today(1))["bad_request"] == 100_000
            stats = await records.stats()
            assert stats["attempts"] == 100_000 - dropped + 1
            assert len(await records.attempts_of(2, "9.0")) == 1

    asyncio.run(body())


def test_old_and_large_records_go_first_and_are_counted(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        bounds = Bounds(
            minute_hours=2, hour_days=2, day_days=31, attempt_days=3, destination_mib=1, size_max_mib=16
        )
        async with opened(path, clock, bounds) as records:
            record = records.of(1)
            record.count("delivered", 1)
            record.add(failure(clock, 0))
            await records.today(1)
            clock.advance_ms(4 * DAY_MS)
            record.count("delivered", 1)
            for number in range(1, 61):
                record.add(failure(clock, number, size=50_000))
            await records.today(1)
            await until(lambda: "attempts_pruned" in record.totals)
            kept = [line["delivery"] for line in await history(records)]
            assert kept == [f"9.{number}" for number in range(61 - len(kept), 61)]
            assert len(kept) * 50_000 <= 1 << 20
            assert record.totals["attempts_pruned"] == 61 - len(kept)
        store = Store(path, size_max_mib=16)
        starts = {
            span_s: len(store._all("SELECT DISTINCT start_s FROM counter WHERE span_s = ?", span_s))
            for span_s in spans.SPANS
        }
        assert starts == {spans.EVER: 1, spans.MINUTE: 1, spans.HOUR: 1, spans.DAY: 2}
        store.close()

    asyncio.run(body())


def test_the_file_stays_within_its_size(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        bounds = Bounds(destination_mib=1_000, size_max_mib=16)
        async with opened(path, clock, bounds) as records:
            for number in range(40):
                for place in range(15):
                    records.of(1).add(failure(clock, number * 100 + place, size=60_000))
                await records.today(1)
            newest = await history(records, limit=1)
            assert newest[0]["delivery"] == "9.3914"
            assert records.of(1).totals.get(spans.ATTEMPTS_DROPPED, 0) == 0

    asyncio.run(body())
    assert path.stat().st_size <= 16 << 20


def test_what_is_kept_of_a_destination_goes_with_it(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            records.of(1).count("delivered", 1)
            records.of(2).count("delivered", 1)
            records.of(2).add(failure(clock)._replace(destination_id=2))
            await records.today(1)
            records.forget(1)
            await records.today(2)
        store = Store(path, size_max_mib=16)
        assert store.destination_ids() == [2]
        store.close()
        async with opened(path, clock) as records:  # nobody asked for 2 before the start: it is gone
            await records.today(1)
            assert (await records.stats())["attempts"] == 0

    asyncio.run(body())


@pytest.mark.parametrize("damage", ["garbage", "newer", "foreign", "truncated"])
def test_a_file_that_cannot_be_used_is_set_aside(path: Path, clock: ManualClock, damage: str) -> None:
    async def fill() -> None:
        async with opened(path, clock) as records:
            for number in range(200):
                records.of(1).add(failure(clock, number, size=1_000))
            records.of(1).count("delivered", 5)

    async def go_on() -> None:
        async with opened(path, clock) as records:
            records.of(1).count("delivered", 2)
            await until_used(records)
            assert records.of(1).totals["delivered"] >= 2

    asyncio.run(fill())
    if damage == "garbage":
        path.write_bytes(b"no database at all" * 1000)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:8192] + bytes(8192))
    else:
        with contextlib.closing(apsw.Connection(str(path))) as db:
            db.execute("PRAGMA user_version = 9" if damage == "newer" else "PRAGMA application_id = 5")
    held = path.read_bytes()
    asyncio.run(go_on())
    assert path.with_name("records.db-aside").read_bytes() == held
    asyncio.run(go_on())


async def until_used(records: Records) -> None:
    """The first turn may be the one that meets the damage."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(Unavailable):
                await history(records)
                await records.stats()
                return


def test_a_file_that_another_program_has_locked_stops_nothing(path: Path, clock: ManualClock) -> None:
    async def body() -> None:
        async with opened(path, clock) as records:
            with contextlib.closing(apsw.Connection(str(path))) as other:
                other.execute("BEGIN IMMEDIATE")
                records.of(1).count("delivered", 5)
                records.of(1).add(failure(clock))
                assert await records.today(1) == {}  # what is in the file can be read
                assert not (await records.stats())["writable"]
                assert records.failure == "database is locked"
                other.execute("ROLLBACK")
            assert (await records.today(1))["delivered"] == 5
            assert (await records.stats())["writable"]
            await until(lambda: spans.ATTEMPTS_DROPPED in records.of(1).totals)
            assert records.of(1).totals[spans.ATTEMPTS_DROPPED] == 1
        assert not path.with_name("records.db-aside").exists()

    asyncio.run(body())


def test_while_nothing_can_be_written_minutes_run_together_rather_than_grow_or_be_lost(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "UNWRITTEN_MAX", 3)

    async def body() -> None:
        async with opened(path, clock) as records:
            with contextlib.closing(apsw.Connection(str(path))) as other:
                other.execute("BEGIN IMMEDIATE")
                for _ in range(5):
                    records.of(1).count("delivered", 1, 7)
                    records.of(2).count("delivered", 2)
                    await records.today(1)
                    clock.advance_ms(60_000)
                assert len(records._writer._unwritten) <= 4
                other.execute("ROLLBACK")
            hour = await records.windows([1, 2], ["1h"])
            assert (hour[1]["1h"].delivered, hour[2]["1h"].delivered) == (5, 10)
            assert hour[1]["1h"].latency == {7: 5}

    asyncio.run(body())


def test_a_disk_that_hangs_holds_neither_the_loop_nor_the_stop(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(Store, "write", lambda *_: hanging.wait(20))
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.05)

    async def body() -> None:
        async with opened(path, clock) as records:
            record = records.of(1)
            record.count("delivered", 1)
            with pytest.raises(Unavailable, match="did not answer"):
                await records.today(1)
            for number in range(20_000):
                record.count("bad_request", 1)
                record.add(failure(clock, number, size=500))
            assert record.totals[spans.ATTEMPTS_DROPPED] > 0
            assert records._attempts_bytes <= module.PENDING_BYTES_MAX

    asyncio.run(body())
    hanging.set()


def test_an_attempt_counts_for_more_than_its_detail(clock: ManualClock) -> None:
    attempt = failure(clock)
    assert attempt.bytes == len(attempt.detail) + OVERHEAD_BYTES


def test_on_a_full_disk_attempts_are_dropped_and_counted_and_counters_wait_for_room() -> None:
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "--user", "--map-root-user", "--mount"]
    if unshare is None or subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this host refuses unprivileged user and mount namespaces")
    script = Path(__file__).parent / "full_disk.py"
    ended = subprocess.run(
        [*command, sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout.splitlines()[-1])
    assert seen["reason"]
    assert seen["read_while_full"]
    assert seen["counted_meanwhile"]
    assert seen["counted_after_room"]
    assert seen["dropped"] > 0
    assert seen["lost"] == 0

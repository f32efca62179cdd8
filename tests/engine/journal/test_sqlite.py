"""What only the journal on SQLite promises; the rest is in `tests/contracts`."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from tied import spawn

from engine.clock import ManualClock
from engine.errors import ConfigurationError, JournalFull, Unavailable
from engine.journal import writer
from engine.journal.contract import Claim
from engine.journal.sqlite import SqliteJournal
from engine.model import Chunk, Lease, Part
from sandbox.wire import Events

HERE = Path(__file__).parent
DAY_MS = 24 * 3600 * 1000


def make_chunk(clock: ManualClock, count: int = 1, *, body: bytes = b"\x80") -> Chunk:
    events = Events(
        b"\x01" * count,
        [f"m{n}" for n in range(count)],
        [""] * count,
        {},
        [len(body)] * count,
        body * count,
    )
    return Chunk(1, events, clock.now_ms(), clock.now_ms())


def every(lease: Lease, kind: str, **fields: Any) -> Part:
    return Part(tuple(range(len(lease.chunk))), kind, **fields)


# --- Opening


def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    async def run() -> None:
        await SqliteJournal.open(tmp_path / "journal.db", clock=ManualClock()).close()

    asyncio.run(run())
    for name in ("journal.db", "journal.db-reserve"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_file_of_a_newer_engine_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    async def run() -> None:
        await SqliteJournal.open(path, clock=ManualClock()).close()

    asyncio.run(run())
    with apsw.Connection(str(path)) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="version 99"):
        SqliteJournal.open(path, clock=ManualClock())
    assert path.read_bytes() == before


def test_files_that_are_no_journal_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database at all " * 100)
    other = tmp_path / "other.db"
    db = apsw.Connection(str(other))
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    for path in (text, other):
        with pytest.raises(ConfigurationError, match="not a journal"):
            SqliteJournal.open(path, clock=ManualClock())


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing/journal\.db"):
        SqliteJournal.open(tmp_path / "missing" / "journal.db", clock=ManualClock())


def test_a_journal_in_use_is_refused(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "journal.db", clock=ManualClock())
    code = (
        "from engine.clock import SystemClock; from engine.journal.sqlite import SqliteJournal;"
        f"SqliteJournal.open({str(tmp_path / 'journal.db')!r}, clock=SystemClock())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"{Unavailable.__name__}: the journal" in ended.stderr
    assert "in use by another process" in ended.stderr
    asyncio.run(journal.close())


# --- What the file holds


def test_every_commit_reaches_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "journal.db", clock=ManualClock())
    assert journal._store.db.pragma("synchronous") == 2  # FULL
    assert journal._store.db.pragma("journal_mode") == "wal"
    asyncio.run(journal.close())


def test_who_writes_waits_for_company_as_long_as_the_operator_says_and_a_reader_ends_the_wait(
    tmp_path: Path,
) -> None:
    async def run(commit_wait_us: int) -> int:
        clock = ManualClock()
        path = tmp_path / f"{commit_wait_us}.db"
        journal = SqliteJournal.open(path, clock=clock, commit_wait_us=commit_wait_us)
        appends = []
        for _ in range(3):
            appends.append(asyncio.ensure_future(journal.append([make_chunk(clock, 1)])))
            await asyncio.sleep(0)
            while not journal._writer._queue.empty():  # noqa: ASYNC110  the writer is a thread, and tells nobody what it took
                await asyncio.sleep(0.001)
            if not commit_wait_us:
                await asyncio.wait(appends)
        await journal.next_due(1)
        await asyncio.gather(*appends)
        commits = journal._writer.commits
        await journal.close()
        return commits

    assert asyncio.run(run(60_000_000)) == 1
    assert asyncio.run(run(0)) == 3


def test_outcomes_share_the_commit_of_the_events_that_come_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SETTLE_WAIT_S", 30.0)

    async def run() -> int:
        clock = ManualClock()
        journal = SqliteJournal.open(tmp_path / "journal.db", clock=clock)
        [lease] = await journal.append([make_chunk(clock)])
        settling = asyncio.ensure_future(journal.settle([(lease, [every(lease, "delivered")])]))
        await asyncio.sleep(0)
        while not journal._writer._queue.empty():  # noqa: ASYNC110  as above
            await asyncio.sleep(0.001)
        await journal.append([make_chunk(clock)])
        await settling
        commits = journal._writer.commits
        await journal.close()
        return commits

    assert asyncio.run(run()) == 2


def test_outcomes_that_nothing_comes_after_are_written_all_the_same(tmp_path: Path) -> None:
    async def run() -> int:
        clock = ManualClock()
        journal = SqliteJournal.open(tmp_path / "journal.db", clock=clock)
        [lease] = await journal.append([make_chunk(clock)])
        await journal.settle([(lease, [every(lease, "delivered")])])
        commits = journal._writer.commits
        await journal.close()
        return commits

    assert asyncio.run(run()) == 2


def test_nothing_is_left_in_the_file_of_what_was_settled_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    async def run() -> None:
        clock = ManualClock()
        journal = SqliteJournal.open(path, clock=clock)
        [lease] = await journal.append([make_chunk(clock, 3)])
        for index in range(3):
            await journal.settle([(lease, [Part((index,), "delivered")])])
        await journal.close()

    asyncio.run(run())
    db = apsw.Connection(str(path))
    assert db.execute("SELECT (SELECT count(*) FROM chunk), (SELECT count(*) FROM done)").get == (0, 0)
    db.close()


def test_a_retry_of_a_whole_chunk_does_not_write_its_payload_again(tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualClock()
        journal = SqliteJournal.open(tmp_path / "journal.db", clock=clock, reserve_bytes=0)
        [lease] = await journal.append([make_chunk(clock, 100, body=b"x" * 5000)])
        wal = tmp_path / "journal.db-wal"
        before = wal.stat().st_size
        due = clock.now_ms() + 1000
        await journal.settle([(lease, [every(lease, "retry", due_ms=due, attempt=2, alone=True)])])
        assert wal.stat().st_size - before < 5 * 4096
        await journal.close()

    asyncio.run(run())


def test_a_chunk_that_cannot_be_decoded_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    async def run() -> None:
        clock = ManualClock()
        journal = SqliteJournal.open(path, clock=clock)
        leases = await journal.append([make_chunk(clock, 3) for _ in range(3)])
        await journal.settle([(leases[1], [Part((0,), "delivered")])])
        await journal.close()
        db = apsw.Connection(str(path))
        db.execute("UPDATE chunk SET payload = CAST(x'07' || payload AS BLOB) WHERE id = ?", (leases[1].id,))
        db.close()
        journal = SqliteJournal.open(path, clock=clock)
        found = await journal.lease(1, clock.now_ms(), chunks_max=9, bytes_max=1 << 20)
        assert [lease.id for lease in found] == [leases[0].id, leases[2].id]
        assert (await journal.depth(1)).stored == 6
        assert await journal.next_due() == {}
        await journal.close()
        db = apsw.Connection(str(path))
        assert db.execute("SELECT chunk_id, reason FROM damaged").fetchall() == [
            (leases[1].id, "a payload of format 7, where 1 was expected")
        ]
        assert db.execute("SELECT count(*) FROM done").get == 0
        db.close()

    asyncio.run(run())


# --- The shelf's bounds


def shelve(path: Path, **options: Any) -> tuple[list[int], int, int]:
    clock = ManualClock()

    async def run() -> tuple[list[int], int, int]:
        journal = SqliteJournal.open(path, clock=clock, **options)
        for _ in range(5):
            [lease] = await journal.append([make_chunk(clock, 2, body=b"x" * 1000)])
            await journal.settle([(lease, [every(lease, "dead", code="timeout")])])
            clock.advance_ms(DAY_MS)
        for _ in range(3):
            await journal.next_due()  # housekeeping follows each request
        page = await journal.deliveries(1, "shelved")
        depth = await journal.depth(1)
        await journal.close()
        return [delivery.id[0] for delivery in page.deliveries], depth.shelved_dead, depth.pruned

    return asyncio.run(run())


def test_the_shelf_forgets_what_is_too_old_and_counts_it(tmp_path: Path) -> None:
    ids, dead, pruned = shelve(tmp_path / "journal.db", shelf_age_max_ms=3 * DAY_MS + 1)
    assert (ids, dead, pruned) == ([5, 5, 4, 4, 3, 3], 6, 4)


def test_the_shelf_forgets_the_oldest_when_it_is_too_large(tmp_path: Path) -> None:
    ids, dead, pruned = shelve(tmp_path / "journal.db", shelf_bytes_max=5000)
    assert (ids, dead, pruned) == ([5, 5, 4, 4], 4, 6)


def test_a_flood_of_small_entries_does_not_outrun_the_shelfs_bound(tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualClock()
        journal = SqliteJournal.open(tmp_path / "journal.db", clock=clock, shelf_bytes_max=50_000)
        for _ in range(5):
            leases = await journal.append([make_chunk(clock, 1) for _ in range(1500)])
            await journal.settle([(lease, [every(lease, "dead", code="timeout")]) for lease in leases])
        await journal.next_due()
        await journal.next_due()
        assert journal._inventory.shelf_bytes <= 50_000
        depth = await journal.depth(1)
        assert depth.shelved_dead + depth.pruned == 7500
        await journal.close()

    asyncio.run(run())


# --- A full journal


async def fill(journal: SqliteJournal, clock: ManualClock, leases: list[Lease]) -> None:
    while True:
        leases += await journal.append([make_chunk(clock, 50, body=b"x" * 1000)])


def test_a_journal_at_its_size_limit_refuses_appends_and_still_settles(tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualClock()
        path = tmp_path / "journal.db"
        journal = SqliteJournal.open(path, clock=clock, size_max_mib=4)
        leases: list[Lease] = []
        with pytest.raises(JournalFull, match="can't take new events") as refused:
            await fill(journal, clock, leases)
        assert "accepted is kept" in refused.value.remedy
        assert 3 << 20 < len(leases) * 50_000 <= 4 << 20
        stats = await journal.stats()
        assert (stats.writable, journal.is_writable) == (False, True)
        await journal.settle(
            [(lease, [Part((0,), "dead", "timeout", details=(b"d" * 9000,))]) for lease in leases]
        )
        await journal.settle([(lease, [Part((1,), "retry", "retry", 1, 2)]) for lease in leases])
        assert (await journal.depth(1)).stored == len(leases) * 49
        for lease in leases:
            await journal.settle([(lease, [Part(tuple(range(2, 50)), "delivered")])])
        await journal.append([make_chunk(clock, 1)])
        assert (await journal.stats()).writable
        await journal.close()

    asyncio.run(run())


def test_a_full_journal_refuses_replays_and_knows_no_id_that_it_refused(tmp_path: Path) -> None:
    async def run() -> None:
        clock = ManualClock()
        journal = SqliteJournal.open(tmp_path / "journal.db", clock=clock, size_max_mib=4)
        [dead] = await journal.append([make_chunk(clock, 50, body=b"x" * 1000)])
        await journal.settle([(dead, [every(dead, "dead", code="timeout")])])
        leases: list[Lease] = []
        number = 0

        async def append(name: str) -> Lease:
            chunk = make_chunk(clock, 50, body=b"x" * 1000)
            events = chunk.events._replace(message_ids=[f"{name}.{n}" for n in range(50)])
            [lease] = await journal.append([replace(chunk, events=events)], claims=[Claim(0, 0, 50, 1)])
            return lease

        try:
            while True:
                leases.append(await append(str(number)))
                number += 1
        except JournalFull:
            pass
        with pytest.raises(JournalFull):
            await journal.replay(1)
        depth = await journal.depth(1)
        assert (depth.stored, depth.shelved_dead) == (50 * len(leases), 50)
        assert (await journal.replay(1, dry_run=True)).deliveries == 50
        for lease in leases:
            await journal.settle([(lease, [every(lease, "delivered")])])
        assert (await append(str(number))).remaining == (1 << 50) - 1, "refused: not a duplicate"
        assert (await append(str(number))).remaining == 0
        assert (await append("0")).remaining == 0
        assert (await journal.replay(1)).deliveries == 50
        depth = await journal.depth(1)
        assert (depth.stored, depth.shelved_dead) == (100, 0)
        await journal.close()

    asyncio.run(run())


def test_on_a_full_disk_what_was_accepted_stays_and_what_ends_is_held_until_there_is_room() -> None:
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "--user", "--map-root-user", "--mount"]
    if unshare is None or subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this host refuses unprivileged user and mount namespaces")
    ended = subprocess.run(
        [*command, sys.executable, str(HERE / "full_disk.py")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout.splitlines()[-1])
    assert seen["accepted"] > 100
    assert seen["refusal"].startswith("the journal")
    assert seen["reserve_while_full"] is False
    assert seen["settled_through_reserve"]
    assert seen["held"] == {"is_writable": False, "leased": 0, "settled": False}
    assert seen["settled_after_room"]
    assert seen["released_while_held"] == (1 << 20) - (1 << 10)
    assert seen["replay_while_held"] == "refused"
    assert seen["shelved_while_held"] == seen["shelved_before"]
    assert seen["refused_is_new_after_room"]
    assert seen["replayed_after_room"] == seen["shelved_before"] > 0
    assert seen["writable_after_room"]
    assert seen["reserve_after_room"]
    assert seen["lost"] == []
    assert seen["returned"] == []


# --- A broken file


def test_a_file_that_is_broken_is_written_no_more_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def malformed(*_: Any, **__: Any) -> None:
        raise apsw.CorruptError("database disk image is malformed")

    async def run() -> None:
        clock = ManualClock()
        journal = SqliteJournal.open(tmp_path / "journal.db", clock=clock)
        (lease,) = await journal.append([make_chunk(clock)])
        with monkeypatch.context() as patch:
            patch.setattr(journal._store, "commit", malformed)
            with pytest.raises(Unavailable, match="malformed"):
                await journal.append([make_chunk(clock)])
        # From here on a commit would go through, into a file that nobody may trust.
        assert ((await journal.stats()).writable, journal.is_writable) == (False, False)
        with pytest.raises(Unavailable, match="malformed"):
            await journal.append([make_chunk(clock)])
        with pytest.raises(Unavailable, match="malformed"):
            await journal.settle([(lease, [every(lease, "delivered")])])
        removal = asyncio.ensure_future(journal.discard(1))
        await journal.close()
        with pytest.raises(Unavailable):
            await removal

    asyncio.run(run())


# --- kill -9


def test_after_kill_9_everything_acknowledged_is_there_and_nothing_settled_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    writer = spawn(
        [sys.executable, str(HERE / "endless_writer.py"), str(path)], stdout=subprocess.PIPE, text=True
    )
    lines = list(itertools.islice(writer.stdout, 400))
    writer.send_signal(signal.SIGKILL)
    lines += writer.stdout.read().splitlines(keepends=True)
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    whole = [line.split() for line in lines if line.endswith("\n")]
    appended = {name for what, name in whole if what == "appended"}
    # A settle that was on its way may have been written without being acknowledged.
    settling = {name for what, name in whole if what == "settling"}
    settled = {name for what, name in whole if what == "settled"}

    async def run() -> tuple[set[str], int]:
        clock = ManualClock()
        journal = SqliteJournal.open(path, clock=clock)
        leases = await journal.lease(1, 2**50, chunks_max=100_000, bytes_max=1 << 30)
        depth = await journal.depth(1)
        await journal.close()
        return {name for lease in leases for name in lease.chunk.events.message_ids}, depth.stored

    found, stored = asyncio.run(run())
    assert len(appended) > 100
    assert appended - settling <= found
    assert not settled & found
    assert stored == len(found)

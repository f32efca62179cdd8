"""The index on a real file, against a plain set."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from engine.journal.dedupe import index as index_module
from engine.journal.dedupe import runs
from engine.journal.dedupe.index import DedupeIndex
from engine.journal.dedupe.records import BUCKETS, digests_of
from engine.journal.store import Store

HOUR = 3600


def open_index(path: Path, **options: Any) -> DedupeIndex:
    options = {"window_s": 24 * HOUR, "bytes_max": 64 << 20} | options
    return DedupeIndex(Store(path, reserve_bytes=0), **options)


def add(index: DedupeIndex, ids: list[str], now_s: int, *, scope: int = 1) -> list[str]:
    """In a transaction of their own; those that were duplicates."""
    bits = index.judge(scope, ids, now_s)
    with index._store.transaction():
        index.write(now_s)
    index.keep(now_s)
    return [one for at, one in enumerate(ids) if bits >> at & 1]


def sweep(index: DedupeIndex, now_s: int) -> None:
    """All of what is recent."""
    while not index.is_restored:
        index.tidy(now_s)
    index._swept, index._swept_tail = 0, index._tail_id
    while index.is_sweeping:
        index.tidy(now_s)


def names(start: int, stop: int) -> list[str]:
    return [f"id {n}" for n in range(start, stop)]


def test_an_id_is_new_once_in_its_scope(tmp_path: Path) -> None:
    index = open_index(tmp_path / "j.db")
    assert add(index, ["a", "b", "a", "", ""], 0) == ["a"]
    assert add(index, ["b", "c", ""], 0) == ["b"]
    assert add(index, ["a", "b"], 0, scope=2) == []


def test_what_was_not_committed_is_as_new_as_before(tmp_path: Path) -> None:
    index = open_index(tmp_path / "j.db")
    assert index.judge(1, ["a"], 0) == 0
    assert index.judge(1, ["a", "b"], 0) == 0b01
    index.forget()
    assert add(index, ["a", "b"], 0) == []


@pytest.mark.parametrize("is_swept", [False, True])
def test_ids_are_known_after_a_crash_until_the_window_ends(tmp_path: Path, is_swept: bool) -> None:
    index = open_index(tmp_path / "a.db")
    add(index, names(0, 3000), 100)
    if is_swept:
        sweep(index, 100)
        assert index._recent_ids == 0
        assert runs.tail(index._store.db) == []
    for at, source in enumerate(tmp_path.glob("a.db*")):
        shutil.copy(source, tmp_path / source.name.replace("a.db", "b.db"))
        assert at < 3
    again = open_index(tmp_path / "b.db")
    assert again.is_restored is not is_swept
    assert add(again, [*names(2990, 3010)], 100 + 24 * HOUR - 1) == names(2990, 3000)
    while not again.is_restored:
        again.tidy(100)
    assert add(again, names(0, 10), 100 + 24 * HOUR - 1) == names(0, 10)
    assert add(again, names(0, 10), 100 + 24 * HOUR) == []
    assert add(again, names(0, 10), 100 + 24 * HOUR) == names(0, 10)


def test_a_sweep_keeps_what_arrives_during_it(tmp_path: Path) -> None:
    index = open_index(tmp_path / "j.db")
    add(index, names(0, 1000), 0)
    index._swept, index._swept_tail = 0, index._tail_id
    at = 1000
    while index.is_sweeping:
        index.tidy(0)
        add(index, names(at, at + 50), 0)
        at += 50
    assert add(index, names(0, at), 0) == names(0, at)
    again = open_copy(index, tmp_path)
    assert add(again, names(0, at), 0) == names(0, at)


def open_copy(index: DedupeIndex, folder: Path) -> DedupeIndex:
    copy = folder / f"copy{len(list(folder.iterdir()))}.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{index._store.path}{suffix}", f"{copy}{suffix}")
    return open_index(copy, window_s=index._window_s)


def test_an_orderly_end_leaves_the_filter_to_the_next_start_once(tmp_path: Path) -> None:
    index = open_index(tmp_path / "j.db")
    add(index, names(0, 5000), 0)
    sweep(index, 0)
    add(index, names(5000, 5100), 0)
    index.close()
    words = index._filter.words
    index._store.close()
    again = open_index(tmp_path / "j.db")
    assert again.is_restored
    assert again._filter.words == words
    assert add(again, names(4990, 5110), 0) == names(4990, 5100)
    again._store.close()
    crashed = open_index(tmp_path / "j.db")
    assert not crashed.is_restored
    assert add(crashed, names(4990, 5120), 0) == names(4990, 5110)
    while not crashed.is_restored:
        crashed.tidy(0)
    crashed.close()
    crashed._store.close()
    smaller = open_index(tmp_path / "j.db", bytes_max=1 << 20)
    assert not smaller.is_restored
    assert add(smaller, names(4990, 5120), 0) == names(4990, 5120)


def test_small_runs_become_one_and_old_ones_go(tmp_path: Path) -> None:
    index = open_index(tmp_path / "j.db", window_s=100)
    for turn in range(9):
        add(index, names(turn * 20_000, turn * 20_000 + 20_000), turn)
        sweep(index, turn)
    rows, size = index._store.db.execute("SELECT count(*), sum(length(records)) FROM dedupe_run").get
    assert size == 180_000 * 16
    assert rows < 3 * BUCKETS
    assert add(index, names(79_000, 81_000), 50) == names(79_000, 81_000)
    sweep(index, 108)
    assert index._store.db.execute("SELECT count(*) FROM dedupe_run").get == 0
    assert not any(index._filter.words)


def test_the_oldest_ids_go_when_the_disk_share_is_full(tmp_path: Path) -> None:
    index = open_index(tmp_path / "j.db", bytes_max=1 << 20)
    total = 0
    for turn in range(12):
        add(index, names(total, total + 10_000), turn)
        total += 10_000
        sweep(index, turn)
    stored = index._store.db.execute("SELECT sum(length(records)) FROM dedupe_run").get
    assert stored <= 0.75 * (1 << 20)
    assert len(index._filter.words) * 8 <= (1 << 20) // 32
    assert len(add(index, names(total - 20_000, total), 12)) > 19_000
    assert len(add(index, names(0, 20_000), 12)) < 200


def test_a_sweep_that_fails_changes_nothing(tmp_path: Path) -> None:
    index = open_index(tmp_path / "j.db")
    add(index, names(0, 5000), 0)
    index._store.db.execute("PRAGMA max_page_count = 1")  # never less than what there is
    index._swept, index._swept_tail = 0, index._tail_id
    with pytest.raises(apsw.FullError):
        finish(index)
    assert add_none(index, names(0, 5000)) == names(0, 5000)
    index._store.db.execute("PRAGMA max_page_count = 1000000")
    finish(index)
    assert add_none(index, names(0, 5000)) == names(0, 5000)


def finish(index: DedupeIndex) -> None:
    while index.is_sweeping:
        index.tidy(0)


def add_none(index: DedupeIndex, ids: list[str]) -> list[str]:
    bits = index.judge(1, ids, 0)
    index.forget()
    return [one for at, one in enumerate(ids) if bits >> at & 1]


def test_a_sweep_begins_when_enough_is_recent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "RECENT_MAX", 1000)
    index = open_index(tmp_path / "j.db")
    add(index, names(0, 999), 0)
    index.tidy(0)
    assert not index.is_sweeping
    add(index, names(999, 1000), 0)
    index.tidy(0)
    assert index.is_sweeping


class IndexMachine(RuleBasedStateMachine):
    """The model: when each id was last taken for new."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.copies = 0
        self.now_s = 1_000_000
        self.model: dict[tuple[int, str], list[int]] = {}
        self.index = open_index(self.folder / "0.db", window_s=100, bytes_max=1 << 20)

    def teardown(self) -> None:
        self.index._store.close()
        shutil.rmtree(self.folder)

    def is_known(self, scope: int, one: str) -> bool:
        return any(abs(self.now_s - at_s) < 100 for at_s in self.model.get((scope, one), []))

    @rule(
        scope=st.integers(1, 2),
        ids=st.lists(st.integers(0, 60).map(lambda n: f"id {n}" if n else ""), max_size=30),
        is_committed=st.booleans(),
    )
    def judge(self, scope: int, ids: list[str], is_committed: bool) -> None:
        fresh: list[str] = []
        expected = 0
        for at, one in enumerate(ids):
            if one and (one in fresh or self.is_known(scope, one)):
                expected |= 1 << at
            elif one:
                fresh.append(one)
        assert self.index.judge(scope, ids, self.now_s) == expected
        if not is_committed:
            self.index.forget()
            return
        with self.index._store.transaction():
            self.index.write(self.now_s)
        self.index.keep(self.now_s)
        for one in fresh:
            self.model.setdefault((scope, one), []).append(self.now_s)

    @rule(seconds=st.integers(-150, 150))
    def time_steps(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(turns=st.integers(1, 40), begin=st.booleans())
    def tidy(self, turns: int, begin: bool) -> None:
        if begin and self.index.is_restored and not self.index.is_sweeping:
            self.index._swept, self.index._swept_tail = 0, self.index._tail_id
        for _ in range(turns):
            swept = self.index._swept
            self.index.tidy(self.now_s)
            self.forget_dropped(swept, self.index._swept)

    def forget_dropped(self, start: int, stop: int) -> None:
        """Expired runs are dropped for good, even if the clock goes back afterwards."""
        if stop <= start:
            return
        stored = [row[0] for row in self.index._store.db.execute("SELECT records FROM dedupe_run")]
        present = {
            (part[at : at + 12], int.from_bytes(part[at + 12 : at + 16], "big"))
            for part in (*stored, *map(bytes, filter(None, self.index._recent)))
            for at in range(0, len(part), 16)
        }
        for (scope, one), times in self.model.items():
            [digest] = digests_of(self.index._secret, scope, [one])
            kept = [at_s for at_s in times if (digest, at_s) in present]
            assert all(at_s <= self.now_s - 100 for at_s in times if at_s not in kept)
            times[:] = kept

    @rule()
    def crash(self) -> None:
        self.copies += 1
        copy = self.folder / f"{self.copies}.db"
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.index._store.path}{suffix}", f"{copy}{suffix}")
        self.index._store.close()
        self.index = open_index(copy, window_s=100, bytes_max=1 << 20)


TestIndexAgainstASet = IndexMachine.TestCase
TestIndexAgainstASet.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)

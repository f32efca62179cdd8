"""Judging ids and keeping them: the filter, what is recent, and the sweeps. Used by the writer's thread alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.journal.dedupe import runs
from engine.journal.dedupe.filter import Filter
from engine.journal.dedupe.records import (
    BUCKETS,
    DIGEST_BYTES,
    RECORD_BYTES,
    digests_of,
    has_match,
    newest_s,
    numbers_of,
    numbers_of_records,
    plan,
    stamp_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.journal.store import Store

RECENT_MAX: Final = 512 << 10
"""Ids that are recent when a sweep begins."""
SWEEP_BUCKETS: Final = 128
"""In one transaction: about 128 pages."""
RESTORE_IDS: Final = 20_000
"""In one turn after a crash: about five milliseconds."""
BUCKET_AS_IDS: Final = 100
"""What it costs to read a bucket, whatever is in it."""
LAST_BUCKET: Final = BUCKETS - 1
DISK_SHARE: Final = 0.75
"""Of what is allowed on disk, records: pages between runs are partly empty."""
FILTER_SHARE: Final = 32
STALE_SHARE: Final = 4
"""A bucket's part of the filter is built anew when so much of the bucket, as its inverse, was dropped since."""


class DedupeIndex:
    """Owner of what is known of ids, in memory and in the journal's file."""

    def __init__(self, store: Store, *, window_s: int, bytes_max: int) -> None:
        """Read the tail. `window_s`: how long an id is known; `bytes_max`: about what it takes on disk."""
        self._store = store
        self._window_s = window_s
        self._bucket_bytes_max = int(bytes_max * DISK_SHARE) // BUCKETS
        self._secret = runs.secret(store.db)
        self._filter = Filter(bytes_max // FILTER_SHARE)
        self._recent = [bytearray() for _ in range(BUCKETS)]
        self._recent_ids = 0
        self._stale = [0] * BUCKETS
        self._pending: dict[bytes, int] = {}
        """Digest → its number, of the transaction being written."""
        self._restored = BUCKETS
        """Buckets before it are known to the filter."""
        self._swept = BUCKETS
        """Buckets before it were written by the sweep that is under way."""
        self._swept_tail = 0
        self._tail_id = 0
        kept = runs.take_filter(store.db)
        if not runs.is_empty(store.db) and not self._filter.adopt(kept):
            self._filter.take_all_for_known()
            self._restored = 0
        for row_id, at_s, digests in runs.tail(store.db):
            self._tail_id = row_id
            parts = [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]
            added = dict(zip(parts, numbers_of(digests), strict=True))
            self._filter.add(added.values())
            self._keep(added, at_s)

    # --- One transaction: judge, write, then keep or forget

    def judge(self, scope: int, ids: Sequence[str], now_s: int) -> int:
        """A bit set for each id that is a duplicate; the others are pending. An empty id is none."""
        places: Sequence[int] = range(len(ids))
        if "" in ids:
            places = [at for at in places if ids[at]]
            ids = [ids[at] for at in places]
        digests = digests_of(self._secret, scope, ids)
        numbers = numbers_of(b"".join(digests))
        pending = self._pending
        suspects = self._filter.add(numbers)
        if not suspects:
            pending.update(zip(digests, numbers, strict=True))
            return 0
        duplicates = 0
        for at, (digest, number) in enumerate(zip(digests, numbers, strict=True)):
            if digest in pending or (number in suspects and self._is_known(digest, number, now_s)):
                duplicates |= 1 << places[at]
            else:
                pending[digest] = number
        return duplicates

    def _is_known(self, digest: bytes, number: int, now_s: int) -> bool:
        bucket = number % BUCKETS
        if has_match(self._recent[bucket], digest, now_s=now_s, window_s=self._window_s):
            return True
        return any(
            has_match(records, digest, now_s=now_s, window_s=self._window_s)
            for records in runs.records(self._store.db, bucket)
        )

    def write(self, now_s: int) -> None:
        """What is pending, within the transaction."""
        if self._pending:
            runs.add_tail(self._store.db, self._tail_id + 1, now_s, b"".join(self._pending))

    def keep(self, now_s: int) -> None:
        """The transaction was committed: what was pending is known."""
        if self._pending:
            self._tail_id += 1
            self._keep(self._pending, now_s)
            self._pending = {}

    def forget(self) -> None:
        """The transaction wasn't committed: what was pending is as unknown as before, though the filter suspects it."""
        self._pending = {}

    def _keep(self, added: dict[bytes, int], at_s: int) -> None:
        recent, stamp = self._recent, stamp_of(at_s)
        for digest, number in added.items():
            recent[number & LAST_BUCKET] += digest + stamp
        self._recent_ids += len(added)

    def close(self) -> None:
        """Leave the filter to the next start. Raises what SQLite raises; it is then built anew."""
        if self.is_restored and not runs.is_empty(self._store.db):
            runs.put_filter(self._store.db, self._filter.words.tobytes())

    # --- Housekeeping

    @property
    def is_restored(self) -> bool:
        """The filter knows all that is stored."""
        return self._restored == BUCKETS

    def tidy(self, now_s: int) -> None:
        """Do a little of what there is to do. Raises what `Store.transaction` raises, and then nothing has changed."""
        if self._restored < BUCKETS:
            left = RESTORE_IDS
            while left > 0 and self._restored < BUCKETS:
                left -= self._rebuild(self._restored) + BUCKET_AS_IDS
                self._restored += 1
        elif self._swept < BUCKETS:
            self._sweep_some(now_s)
        elif self._recent_ids >= RECENT_MAX:
            self._swept, self._swept_tail = 0, self._tail_id

    @property
    def is_sweeping(self) -> bool:
        """`tidy` has more to write."""
        return self._swept < BUCKETS

    def _rebuild(self, bucket: int) -> int:
        """The number of ids in it."""
        stored = b"".join(runs.records(self._store.db, bucket)) + self._recent[bucket]
        self._filter.rebuild(bucket, numbers_of_records(stored))
        self._stale[bucket] = 0
        return len(stored) // RECORD_BYTES

    def _sweep_some(self, now_s: int) -> None:
        buckets = range(self._swept, min(self._swept + SWEEP_BUCKETS, BUCKETS))
        with self._store.transaction():
            thin = [bucket for bucket in buckets if self._sweep_bucket(bucket, now_s)]
            if buckets.stop == BUCKETS:
                runs.drop_tail(self._store.db, self._swept_tail)
        for bucket in buckets:
            self._recent_ids -= len(self._recent[bucket]) // RECORD_BYTES
            self._recent[bucket] = bytearray()
        self._swept = buckets.stop
        for bucket in thin:
            self._rebuild(bucket)

    def _sweep_bucket(self, bucket: int, now_s: int) -> bool:
        """Write what is recent of it; True if much of what the filter knows of it is gone."""
        recent = bytes(self._recent[bucket])
        stored = runs.of(self._store.db, bucket)
        drop, merge = plan(
            stored, len(recent), expired_s=now_s - self._window_s, bytes_max=self._bucket_bytes_max
        )
        records = runs.read(self._store.db, merge) + recent
        runs.drop(self._store.db, [*drop, *merge])
        if records:
            runs.write(self._store.db, bucket, stored, newest_s(records), records)
        self._stale[bucket] += sum(run.size_bytes for run in drop)
        left = sum(run.size_bytes for run in stored) + len(recent)
        return self._stale[bucket] * STALE_SHARE > left

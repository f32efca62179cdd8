from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.journal.dedupe.records import (
    BUCKETS,
    DIGEST_BYTES,
    MERGED_RUNS,
    RECORD_BYTES,
    Run,
    digests_of,
    has_match,
    newest_s,
    numbers_of,
    numbers_of_records,
    plan,
    stamp_of,
)

SECRET = b"s" * 32


def records_of(*made: tuple[bytes, int]) -> bytes:
    return b"".join(digest + stamp_of(at_s) for digest, at_s in made)


def test_a_digest_depends_on_secret_scope_and_id() -> None:
    seen = {
        digests_of(secret, scope, [one])[0]
        for secret in (SECRET, b"t" * 32)
        for scope in (1, 2, -1, 2**62)
        for one in ("a", "b", "ab", "ü", "\x00", "a\x00")
    }
    assert len(seen) == 2 * 4 * 6
    assert {len(digest) for digest in seen} == {DIGEST_BYTES}


def test_digests_spread_over_the_buckets() -> None:
    ids = [f"id {n}" for n in range(40_960)]
    counts = Counter(number % BUCKETS for number in numbers_of(b"".join(digests_of(SECRET, 1, ids))))
    assert len(counts) > BUCKETS * 0.99
    assert max(counts.values()) < 40


def test_numbers_are_the_same_of_digests_and_of_records() -> None:
    digests = digests_of(SECRET, 1, ["a", "b", "c"])
    stored = records_of(*((digest, 7) for digest in digests))
    assert len(stored) == 3 * RECORD_BYTES
    assert numbers_of(b"".join(digests)) == numbers_of_records(stored)


def test_a_match_is_within_the_window_on_both_sides_of_now() -> None:
    (digest,) = digests_of(SECRET, 1, ["a"])
    for made_s, found in ((1000, True), (1099, True), (1100, False), (901, True), (900, False)):
        assert has_match(records_of((digest, made_s)), digest, now_s=1000, window_s=100) is found
    both = records_of((digest, 1), (digest, 1000))
    assert has_match(both, digest, now_s=1000, window_s=100)


def test_bytes_across_two_records_are_no_match() -> None:
    digest = bytes(range(DIGEST_BYTES))
    torn = b"\xff" * 8 + digest + b"\xff" * 12
    assert len(torn) == 2 * RECORD_BYTES
    assert not has_match(torn, digest, now_s=0, window_s=2**40)
    assert has_match(torn + records_of((digest, 5)), digest, now_s=5, window_s=1)


def test_the_newest_time_is_found_though_clocks_go_back() -> None:
    assert newest_s(records_of((b"a" * 12, 5), (b"b" * 12, 9), (b"c" * 12, 2))) == 9
    assert newest_s(b"") == 0


RUNS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 600).map(lambda n: 16 * n)), max_size=30)


@given(RUNS, st.integers(0, 4000), st.integers(0, 20), st.integers(0, 100_000))
def test_a_plan_keeps_the_newest_within_the_bound(
    made: list[tuple[int, int]], recent: int, expired_s: int, bytes_max: int
) -> None:
    runs = [Run(key, at_s, size) for key, (at_s, size) in enumerate(made)]
    drop, merge = plan(runs, recent, expired_s=expired_s, bytes_max=bytes_max)
    kept = [run for run in runs if run not in drop]
    assert all(run.newest_s > expired_s for run in kept)
    assert not kept or sum(run.size_bytes for run in kept) + recent <= bytes_max
    for run in drop:
        if run.newest_s > expired_s:
            # It went for its size alone: whatever is older and not expired went, too, and it would have been too much.
            newer = sum(other.size_bytes for other in kept)
            assert all(other in drop for other in runs if other.key < run.key)
            assert newer + run.size_bytes + recent > bytes_max or run.key < min(
                (r.key for r in drop if r.newest_s > expired_s), default=0
            ) + len(drop)
    assert merge == kept[len(kept) - len(merge) :]
    assert not merge or len(merge) >= MERGED_RUNS

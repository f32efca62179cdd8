"""Duplicates among what is appended: found by the index, and left out of what is written.

A chunk of which some events are duplicates is stored as it came, with those marked as done: nothing moves, so that
whoever submitted finds its events where it put them. A chunk of nothing but duplicates isn't stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.journal.dedupe.index import DedupeIndex
    from engine.journal.requests import Append


def admit(index: DedupeIndex, request: Append, now_s: int) -> int:
    """Judge what `request` claims; take duplicates from its leases and its writes. How many there were."""
    found: dict[int, int] = {}
    for claim in request.claims:
        ids = request.leases[claim.chunk].chunk.events.message_ids[claim.start : claim.stop]
        if bits := index.judge(claim.scope, ids, now_s):
            found[claim.chunk] = found.get(claim.chunk, 0) | bits << claim.start
    if not found:
        return 0
    writes = request.writes
    for place, bits in found.items():
        lease = request.leases[place]
        lease.remaining &= ~bits
        if lease.remaining:
            writes.done.append((lease.id, bits.to_bytes((len(lease.chunk) + 7) // 8, "little")))
            writes.duplicates.append((lease.chunk.destination_id, bits.bit_count()))
    gone = {lease.id for lease in request.leases if not lease.remaining}
    writes.fresh = [row for row in writes.fresh if row.id not in gone]
    return sum(bits.bit_count() for bits in found.values())

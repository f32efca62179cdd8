"""Duplicates among what is appended: found by the index, and left out of what is written.

A chunk of which some events are duplicates is stored as it came, with those marked as done: nothing moves, so that
whoever submitted finds its events where it put them. A chunk of nothing but duplicates isn't stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.journal.contract import SharedClaim

if TYPE_CHECKING:
    from engine.journal.dedupe.index import DedupeIndex
    from engine.journal.requests import Append


def admit(index: DedupeIndex, request: Append, now_s: int) -> int:
    """Judge what `request` claims; take duplicates from its leases and its writes. How many there were."""
    found: dict[int, int] = {}
    for claim in request.claims:
        if isinstance(claim, SharedClaim):
            bits = index.judge(claim.scope, claim.message_ids, now_s)
            if bits:
                _mark_copies(found, claim, bits)
            continue
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


def _mark_copies(found: dict[int, int], claim: SharedClaim, bits: int) -> None:
    """Every copy of a duplicate, in whatever chunk it stands."""
    duplicates = {at for at in range(len(claim.message_ids)) if bits >> at & 1}
    for place in claim.places:
        for offset, event in enumerate(place.events):
            if event in duplicates:
                found[place.chunk] = found.get(place.chunk, 0) | 1 << place.start + offset

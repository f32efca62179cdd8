"""What is known of every event, by its message id: so that a doubled event can't stand in for a lost one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kill:
    """The daemon was killed at this monotonic time; what the journal's file held then."""

    at: float
    stored: frozenset[str]
    shelved: frozenset[str]


@dataclass(slots=True)
class Ledger:
    """Events as whoever sent them knows them: `DESTINATION/NUMBER`."""

    acked: dict[str, float] = field(default_factory=dict)
    """When each was acknowledged."""
    delivered: Counter[str] = field(default_factory=Counter)
    """How often an attempt was seen that delivered it."""
    kills: list[Kill] = field(default_factory=list)
    stored: frozenset[str] = frozenset()
    """Waiting, at the end."""
    shelved: frozenset[str] = frozenset()
    """Discarded or dead, at the end."""

    def unaccounted(self) -> set[str]:
        """Acknowledged, and neither seen delivered, nor discarded, nor dead, nor waiting."""
        return set(self.acked) - set(self.delivered) - self.shelved - self.stored

    def lost(self, latency_s: dict[str, float]) -> set[str]:
        """Acknowledged events that are nowhere, and that no kill explains.

        `latency_s` of a destination is the time before which none of its events can end.
        """
        never_durable = {
            event
            for kill in self.kills
            for event, at in self.acked.items()
            if at <= kill.at < at + latency_s[event.partition("/")[0]]
            and event not in kill.stored
            and event not in kill.shelved
        }
        return never_durable | (self.unaccounted() - self.unseen())

    def unseen(self) -> set[str]:
        """Those that a kill explains: what was settled just before it, and shown to nobody any more.

        They had left the file when the daemon was killed. What was in it at the last kill, or came later, was seen.
        """
        if not self.kills:
            return set()
        last = self.kills[-1]
        return {
            event for event in self.unaccounted() if self.acked[event] < last.at and event not in last.stored
        }

    def doubled(self) -> set[str]:
        """Seen delivered more than once, or delivered and on the shelf too."""
        return {event for event, count in self.delivered.items() if count > 1 or event in self.shelved}

    def doubled_without_a_kill(self) -> set[str]:
        """Doubled, although there was no kill at which its outcome was still to be written."""
        return self.doubled() - frozenset[str]().union(*(kill.stored for kill in self.kills))

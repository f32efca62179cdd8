"""What became of a submit at first: counted as outcomes arrive, for whoever waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True, eq=False)
class Tally:
    """First outcomes of one submit's `expected` deliveries."""

    expected: int
    settled: Callable[[Tally], None]
    """Called once, when every delivery has had its first outcome."""
    delivered: int = 0
    discarded: int = 0
    retrying: int = 0
    dead: int = 0
    duplicates: int = 0
    by_code: dict[str, int] = field(default_factory=dict)
    first_details: dict[str, bytes] = field(default_factory=dict)
    """Outcome code → packed `sandbox.wire.Detail` of the first delivery that ended so."""
    _counted: int = 0

    def add(self, kind: str, code: str, count: int, detail: bytes = b"") -> None:
        """`count` deliveries ended with `code`; `kind` is one of `engine.model.PART_KINDS`."""
        self.by_code[code] = self.by_code.get(code, 0) + count
        if kind == "delivered":
            self.delivered += count
        else:
            if kind == "retry":
                self.retrying += count
            elif kind == "dead":
                self.dead += count
            else:
                self.discarded += count
            if detail and code not in self.first_details:
                self.first_details[code] = detail
        self._counted += count
        self._settle_if_complete()

    def expect_fewer(self, duplicates: int) -> None:
        """So many of the deliveries were duplicates and have no outcome. Called once, before any outcome."""
        self.duplicates = duplicates
        self.expected -= duplicates
        if duplicates or not self.expected:
            self._settle_if_complete()

    def _settle_if_complete(self) -> None:
        if self._counted == self.expected:
            self.settled(self)

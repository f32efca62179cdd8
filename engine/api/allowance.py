"""Items of a stream that its client can still take: it asks for some ahead, and for more as it takes them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

CREDIT_MAX: Final = 10_000
"""Items of a stream that a client can ask for ahead."""


@dataclass(slots=True, eq=False)
class Allowance:
    """Of one stream."""

    _count: int = 0
    _raised: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, count: int) -> None:
        """The client can take more; beyond `CREDIT_MAX` it is not believed."""
        self._count = min(self._count + count, CREDIT_MAX)
        self._raised.set()

    async def take(self) -> None:
        """One item; waits for the client."""
        while not self._count:
            self._raised.clear()
            await self._raised.wait()
        self._count -= 1

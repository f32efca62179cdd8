"""Which source a write key is of. The daemon tells every change, so that no request asks for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.async_client import AsyncClient


class WriteKeys:
    """All that the daemon has: bounded by what people made there, whatever keys are sent."""

    def __init__(self) -> None:
        self._known = asyncio.Event()
        self._sources: dict[str, str] = {}

    @property
    def is_known(self) -> bool:
        """The daemon is there, and has told all of them."""
        return self._known.is_set()

    async def known(self) -> None:
        """Wait for that."""
        await self._known.wait()

    def source_of(self, key: str) -> str | None:
        """Its name; None if no source has this key."""
        return self._sources.get(key)

    async def watch(self, client: AsyncClient) -> None:
        """Follow what the daemon tells, until the connection is lost; raises why."""
        told: dict[str, str] = {}
        try:
            async with contextlib.aclosing(client.stream("source.keys")) as items:
                async for item in items:
                    for key, source in item["keys"].items():
                        if source is None:
                            told.pop(key, None)
                        else:
                            told[key] = source
                    if item["is_complete"]:
                        # What an earlier daemon told serves until this one has told everything.
                        self._sources = told
                        self._known.set()
        finally:
            self._known.clear()
